// The wind dial: cloth and wind seen from above, the viewer below. Dragged; the farther out, the stronger.

import {$, make} from "./dom.js";
import {say, showHint} from "./announce.js";
import {change} from "./session.js";
import {hasCloth, state, watch} from "./state.js";

const LEAST = 0.05;  // strength: some wind there is always
const RIM = 74;  // of 100: where the strength is 1
const CAUGHT = 4;  // degrees from one of eight directions within which a drag means that
const [TURN, FAR] = [5, 3];  // degrees of an arrow key, and times as many with Shift
const WAYS = [
  ...["to the right", "right and away", "away from you", "left and away"],
  ...["to the left", "left, towards you", "towards you", "right, towards you"],
];
const SVG = "http://www.w3.org/2000/svg";

export function beginWind() {
  const dial = $("wind");
  dial.append(drawing());
  dial.addEventListener("pointerdown", event => {
    if (event.button > 0) return;
    dial.setPointerCapture(event.pointerId);
    follow(event);
  });
  dial.addEventListener("pointermove", event => { if (dial.hasPointerCapture(event.pointerId)) follow(event); });
  dial.addEventListener("keydown", key);
  watch(["look"], show);
  watch(["edits", "phase"], () => {
    const wanted = state.phase === "ready" && hasCloth(state.edits);
    const isNew = wanted && $("wind-section").hidden;
    $("wind-section").hidden = !wanted;
    if (isNew) tell();
  });
}

/** Where to turn the wind; on a phone that is in a sheet which is closed. */
function tell() {
  const adjust = $("adjust");
  if (!adjust.checkVisibility()) say("Cloth moves in the wind; the wind dial is in the panel now.");
  else showHint("Cloth moves in a wind that you can turn.", {words: "Turn the wind", run: () => adjust.click()});
}

/** A disc with rings, the eight directions, streaks that blow, and an arrow whose tip is dragged. */
function drawing() {
  const svg = shape("svg", {viewBox: "-100 -100 200 200", "aria-hidden": "true"});
  svg.append(shape("circle", {class: "wind-disc", r: 96}));
  for (const r of [RIM / 3, 2 * RIM / 3, RIM]) svg.append(shape("circle", {class: "wind-ring", r}));
  for (let way = 0; way < 8; way++) {
    svg.append(shape("path", {class: "wind-tick", d: `M${RIM + 6} 0h${way % 2 ? 4 : 8}`, transform: `rotate(${45 * way})`}));
  }
  const blown = shape("g", {class: "wind-blown", id: "wind-blown"});
  for (const [y, from, to] of [[-44, -50, 34], [-22, -68, 60], [20, -66, 64], [43, -48, 40]]) {
    const [third, d] = [(to - from) / 3, y < 0 ? -5 : 5];
    const path = `M${from} ${y}c${third} ${-d} ${2 * third} ${2 * d} ${3 * third} ${d / 2}`;
    blown.append(shape("path", {class: "wind-streak", d: path, pathLength: 100}));
  }
  const arrow = shape("g", {id: "wind-arrow"});
  arrow.append(shape("path", {class: "wind-shaft", id: "wind-shaft"}), shape("circle", {class: "wind-middle", r: 4}));
  arrow.append(shape("circle", {class: "wind-halo", id: "wind-halo", r: 17}));
  arrow.append(shape("path", {class: "wind-knob", id: "wind-knob", d: "M13 0 -8 -10.5 -3.5 0 -8 10.5Z"}));
  svg.append(blown, arrow);
  return svg;
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  return made;
}

function show() {
  const [degrees, strength] = state.look.wind;
  const out = strength * RIM;
  $("wind-blown").setAttribute("transform", `rotate(${-degrees})`);
  $("wind-blown").style.opacity = 0.25 + 0.75 * strength;
  $("wind-arrow").setAttribute("transform", `rotate(${-degrees})`);
  $("wind-shaft").setAttribute("d", `M0 0H${Math.max(0, out - 4)}`);
  for (const id of ["wind-knob", "wind-halo"]) $(id).setAttribute("transform", `translate(${out})`);
  const [way, percent] = [WAYS[Math.round(degrees / 45) % 8], Math.round(100 * strength)];
  const dial = $("wind");
  dial.style.setProperty("--gust", `${(2.6 - 1.6 * strength).toFixed(2)}s`);
  dial.setAttribute("aria-valuenow", String(degrees));
  dial.setAttribute("aria-valuetext", `${way}, ${degrees} degrees, ${percent} percent strong`);
  $("wind-way").replaceChildren(`${way[0].toUpperCase()}${way.slice(1)}`, make("small", {}, `${degrees}°`));
  $("wind-strength").replaceChildren(strengthWord(strength), make("small", {}, `${percent}%`));
}

function strengthWord(strength) {
  return ["A breath", "Light", "Fresh", "Strong", "Storm"][Math.min(4, Math.floor(5 * strength))];
}

function follow({clientX, clientY, altKey}) {
  const {left, top, width, height} = $("wind").getBoundingClientRect();
  const [x, y] = [(clientX - left) / width * 200 - 100, 100 - (clientY - top) / height * 200];
  const degrees = Math.atan2(y, x) * 180 / Math.PI;
  const near = 45 * Math.round(degrees / 45);
  blow(!altKey && Math.abs(degrees - near) < CAUGHT ? near : degrees, Math.hypot(x, y) / RIM);
}

/** Left and right turn it, up and down make it stronger and weaker. */
function key(event) {
  const [degrees, strength] = state.look.wind;
  const times = event.shiftKey ? FAR : 1;
  const to = {
    ...{ArrowLeft: [degrees + TURN * times, strength], ArrowRight: [degrees - TURN * times, strength]},
    ...{ArrowUp: [degrees, strength + 0.05 * times], ArrowDown: [degrees, strength - 0.05 * times]},
    ...{PageUp: [degrees, strength + 0.2], PageDown: [degrees, strength - 0.2]},
    ...{Home: [degrees, LEAST], End: [degrees, 1]},
  }[event.key];
  if (!to || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  event.stopPropagation();
  blow(...to);
}

function blow(degrees, strength) {
  const wind = [(Math.round(degrees) + 720) % 360, Math.round(100 * Math.min(1, Math.max(LEAST, strength))) / 100];
  if (String(wind) !== String(state.look.wind)) change({look: {...state.look, wind}}, "wind");
}
