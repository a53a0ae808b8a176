// The wind dial: the scene from above, with the viewer at the bottom. The longer its arrow, the stronger the wind.

import {$, clamp, make, svg} from "./dom.js";
import {announce, showHint} from "./notifications.js";
import {change} from "./session.js";
import {hasCloth, isWindy, set, shownWind, state, watch} from "./state.js";

const MIN_STRENGTH = 0.05;
const RIM = 74;  // the radius, of 100, at which the strength is 1
const SNAP = 4;  // degrees within which a drag snaps to one of the eight directions
const STEP = [5, 0.05];  // degrees and strength for an arrow key; three times that with Shift
const DIRECTIONS = [
  ...["to the right", "right and away", "away from you", "left and away"],
  ...["to the left", "left, towards you", "towards you", "right, towards you"],
];
const STRENGTHS = ["Calm", "Light", "Fresh", "Strong", "Storm"];
const HURRIED_INTERVAL = 100;  // ms between two times that a hurried dial is drawn: the page is composed each time
// y, from x, to x, delay in seconds
const STREAKS = [[-44, -50, 34, 0], [-22, -68, 60, -0.35], [20, -66, 64, -1.1], [43, -48, 40, -0.75]];

let holder = null;  // the id of the pointer that holds the arrow
let drawingTimer = 0;
let hadCloth = false;

export function initWindDial() {
  const dial = $("wind");
  dial.append(drawing());
  dial.addEventListener("pointerdown", event => {
    if (event.button > 0 || holder !== null) return;
    dial.setPointerCapture(event.pointerId);
    holder = event.pointerId;
    set({turning: true});
    followPointer(event);
  });
  dial.addEventListener("lostpointercapture", event => { if (event.pointerId === holder) release(); });
  dial.addEventListener("pointermove", event => {
    if (event.pointerId !== holder) return;
    event.buttons ? followPointer(event) : release();  // or it was released where the page could not see it
  });
  dial.addEventListener("keydown", handleKey);
  $("wind-off").addEventListener("click", () => change({options: {...state.options, wind: null}}, "option wind"));
  watch(["edits", "options", "hurried"], show);
  watch(["edits", "phase"], () => {
    const ready = state.phase === "ready", cloth = ready && hasCloth(state.edits);
    $("wind-section").hidden = !ready;
    if (!ready || (hadCloth && !cloth)) release();
    if (cloth && !hadCloth) announceDial();
    hadCloth = cloth;
  });
}

/** Lets go of the arrow, so that the loop in its wind is made. */
function release() {
  if (holder === null) return;
  const [dial, pointer] = [$("wind"), holder];
  holder = null;
  if (dial.hasPointerCapture(pointer)) dial.releasePointerCapture(pointer);
  set({turning: false});
}

/** On a phone the dial is in a closed sheet. */
function announceDial() {
  const adjust = $("adjust");
  if (!adjust.checkVisibility()) announce("Cloth moves in the wind; the wind dial is in the panel now.");
  else showHint("Cloth moves in the wind, which you can turn.", {label: "Turn the wind", run: () => adjust.click()});
}

/** A disc with rings, eight ticks, streaks that drift with the wind, and the arrow. */
function drawing() {
  const root = svg("svg", {viewBox: "-100 -100 200 200", "aria-hidden": "true"});
  root.append(svg("circle", {class: "wind-disc", r: 96}));
  for (const r of [RIM / 3, 2 * RIM / 3, RIM]) root.append(svg("circle", {class: "wind-ring", r}));
  for (let k = 0; k < 8; k++) {
    root.append(svg("path", {class: "wind-tick", d: `M${RIM + 6} 0h${k % 2 ? 4 : 8}`, transform: `rotate(${45 * k})`}));
  }
  const streaks = svg("g", {id: "wind-streaks"});
  for (const [y, from, to, delay] of STREAKS) {
    const [third, d] = [(to - from) / 3, y < 0 ? -5 : 5];
    const path = `M${from} ${y}c${third} ${-d} ${2 * third} ${2 * d} ${3 * third} ${d / 2}`;
    streaks.append(svg("path", {class: "wind-streak", d: path, pathLength: 100}));
    streaks.lastChild.style.animationDelay = `${delay}s`;
  }
  const arrow = svg("g", {id: "wind-arrow"});
  arrow.append(
    svg("path", {class: "wind-shaft", id: "wind-shaft"}),
    svg("circle", {class: "wind-halo", id: "wind-halo", r: 17}),
    svg("path", {class: "wind-knob", id: "wind-knob", d: "M13 0 -8 -10.5 -3.5 0 -8 10.5Z"}),
  );
  root.append(streaks, arrow);
  return root;
}

function show() {
  const [degrees, strength] = shownWind(), direction = directionOf(degrees);
  const dial = $("wind"), words = `${direction}, ${degrees} degrees, ${percentOf(strength)} percent strong`;
  dial.setAttribute("aria-valuenow", String(degrees));
  dial.setAttribute("aria-valuetext", isWindy() ? words : "no wind");
  $("wind-off").disabled = state.options.wind === null;
  if (state.hurried) drawingTimer ||= setTimeout(draw, HURRIED_INTERVAL);
  else draw();
}

function draw() {
  clearTimeout(drawingTimer);
  drawingTimer = 0;
  const [degrees, strength] = shownWind();
  const radius = strength * RIM;
  $("wind").classList.toggle("off", !isWindy());
  for (const id of ["wind-streaks", "wind-arrow"]) $(id).setAttribute("transform", `rotate(${-degrees})`);
  $("wind-streaks").style.opacity = 0.25 + 0.75 * strength;
  $("wind-shaft").setAttribute("d", `M0 0H${Math.max(0, radius - 4)}`);
  for (const id of ["wind-knob", "wind-halo"]) $(id).setAttribute("transform", `translate(${radius})`);
  $("wind").style.setProperty("--gust", `${(2.6 - 1.6 * strength).toFixed(2)}s`);
  if (!isWindy()) {
    for (const id of ["wind-direction", "wind-strength"]) $(id).replaceChildren("None");
    return;
  }
  const direction = directionOf(degrees), label = direction[0].toUpperCase() + direction.slice(1);
  $("wind-direction").replaceChildren(label, make("small", {}, `${degrees}°`));
  const force = STRENGTHS[Math.min(4, Math.floor(5 * strength))];
  $("wind-strength").replaceChildren(force, make("small", {}, `${percentOf(strength)}%`));
}

function directionOf(degrees) { return DIRECTIONS[Math.round(degrees / 45) % 8]; }

function percentOf(strength) { return Math.round(100 * strength); }

function followPointer({clientX, clientY, altKey}) {
  const {left, top, width, height} = $("wind").getBoundingClientRect();
  const [x, y] = [(clientX - left) / width * 200 - 100, 100 - (clientY - top) / height * 200];
  const degrees = Math.atan2(y, x) * 180 / Math.PI;
  const nearest = 45 * Math.round(degrees / 45);
  setWind(!altKey && Math.abs(degrees - nearest) < SNAP ? nearest : degrees, Math.hypot(x, y) / RIM);
}

function handleKey(event) {
  const [degrees, strength] = shownWind();
  const [turn, gain] = STEP.map(step => step * (event.shiftKey ? 3 : 1));
  const wind = {
    ...{ArrowLeft: [degrees + turn, strength], ArrowRight: [degrees - turn, strength]},
    ...{ArrowUp: [degrees, strength + gain], ArrowDown: [degrees, strength - gain]},
    ...{PageUp: [degrees, strength + 0.2], PageDown: [degrees, strength - 0.2]},
    ...{Home: [degrees, MIN_STRENGTH], End: [degrees, 1]},
  }[event.key];
  if (!wind || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  event.stopPropagation();
  setWind(...wind);
}

function setWind(degrees, strength) {
  const wind = [(Math.round(degrees) + 720) % 360, Math.round(100 * clamp(strength, MIN_STRENGTH, 1)) / 100];
  if (String(wind) !== String(state.options.wind)) change({options: {...state.options, wind}}, "wind");
}
