// The picture on the stage: its place, what is drawn over it, and what pointers and keys do to it.

import {say} from "../announce.js";
import {$} from "../dom.js";
import {addEdit} from "../session.js";
import {set, state, watch} from "../state.js";
import {drawFlow, drawMask} from "./maps.js";
import {COLOURS, drawAnchor, drawArrow, drawBrush, drawCross, paintStroke} from "./marks.js";
import {BRUSHES, begun, drawn, edit} from "./strokes.js";
import {View} from "./view.js";

const view = new View();
const SHOWN = 1600;  // ms for which the mask shows what an edit came to
export const [THINNEST, WIDEST] = [0.006, 0.4];  // radius, of the short side
const calm = matchMedia("(prefers-reduced-motion: reduce)");

let gesture = null;
let pointer = null;  // where the mouse is, a fraction
let cursor = null;  // where the keyboard is, a fraction
let shownUntil = 0;
let asked = false;  // for a new drawing
let placed = () => {};  // what else follows the picture's place
const fingers = new Map();

/** `whenPlaced` is told the picture's place whenever it changes. */
export function beginStage(whenPlaced) {
  placed = whenPlaced;
  const marks = $("marks");
  new ResizeObserver(layOut).observe($("stage"));
  watch(["phase"], () => { if (state.phase !== "ready") forget(); });
  watch(["scene", "phase"], layOut);
  watch(["tool", "what", "radii", "edits", "mask", "flow", "maps", "marked", "split", "before"], redraw);
  watch(["shown"], showWhatItCameTo);
  watch(["tool"], () => {
    gesture = null;
    marks.dataset.tool = state.tool;
    marks.dataset.brush = String(BRUSHES.includes(state.tool));
  });
  marks.addEventListener("pointerdown", down);
  marks.addEventListener("pointermove", move);
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) marks.addEventListener(name, up);
  marks.addEventListener("pointerleave", () => { pointer = null; redraw(); });
  marks.addEventListener("keyup", event => { if (event.key === "Tab") arrive(); });
  marks.addEventListener("blur", leave);
  marks.addEventListener("wheel", wheel, {passive: false});
  marks.addEventListener("keydown", key);
  $("zoom-in").addEventListener("click", () => zoomBy(1.5));
  $("zoom-out").addEventListener("click", () => zoomBy(1 / 1.5));
  $("zoom-fit").addEventListener("click", fit);
}

/** The picture's short side on the screen, in device pixels, for a scene that may not be shown yet. */
export function shortSide(scene) {
  view.measure(stageSize(), scene);
  return view.short * devicePixelRatio;
}

export function zoomBy(factor, at) {
  view.zoomAt(factor, at);
  layOut();
}

export function fit() {
  view.fit();
  layOut();
}

/** A wider or thinner brush. */
export function growBrush(factor) {
  if (!(state.tool in state.radii)) return;
  setRadius(state.radii[state.tool] * factor);
  say(`Brush ${Math.round(200 * state.radii[state.tool])} percent of the height`);
}

export function setRadius(radius) {
  const kept = Math.min(WIDEST, Math.max(THINNEST, radius));
  set({radii: {...state.radii, [state.tool]: kept}});
}

/** Gives up what is being drawn; whether there was anything. */
export function giveUp() {
  const was = gesture !== null;
  gesture = null;
  redraw();
  return was;
}

/** Of a photo that is left nothing stays for the next. */
function forget() {
  gesture = pointer = cursor = null;
  fingers.clear();
  shownUntil = 0;
  view.fit();
}

/** Whether the keyboard paints, so that Space is not for playing. */
export function paintsByKey() {
  return document.activeElement === $("marks") && cursor !== null && state.tool !== "view";
}

// --- place

function stageSize() {
  const {clientWidth: width, clientHeight: height} = $("stage");
  return {width, height, padding: width < 700 ? 10 : 32};
}

function layOut() {
  const shape = state.phase === "opening" ? stillShape() : state.scene;
  if (!shape) return;
  const stage = stageSize();
  view.measure(stage, shape);
  const {left, top, width, height} = view.place;
  Object.assign($("picture").style, {left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px`});
  $("opening").style.bottom = `${Math.max(10, stage.height - top - height + 20)}px`;
  const marks = $("marks");
  for (const side of ["width", "height"]) {
    const pixels = Math.round(stage[side] * devicePixelRatio);
    if (marks[side] !== pixels) marks[side] = pixels;  // set, it would be cleared
  }
  marks.dataset.zoomed = String(view.zoom > 1);
  $("zoom-fit").textContent = view.zoom === 1 ? "Fit" : `${Math.round(100 * view.zoom)}%`;
  placed(view);
  draw();
}

/** The photo's as it is sent; a .cine file has none that can be shown yet. */
function stillShape() {
  const {naturalWidth: width, naturalHeight: height} = $("still");
  return width ? {width, height} : {width: 3, height: 2};
}

$("still").addEventListener("load", layOut);

// --- drawing

export function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => { asked = false; draw(); });
}

function draw() {
  // in memory: of a canvas of the graphics' Chromium may go on showing what was drawn before it was cleared
  const context = $("marks").getContext("2d", {willReadFrequently: true});
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  if (state.phase !== "ready" || state.before) return;
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  context.save();
  clip(context);
  drawOverlays(context);
  drawEdits(context);
  context.restore();
  if (gesture) drawGesture(context);
  drawTool(context);
}

/** Nothing is tinted outside the picture, or on the side that shows the photo. */
function clip(context) {
  const {left, top, width, height} = view.place;
  const from = state.split ?? 0;
  context.beginPath();
  context.rect(left + from * width, top, (1 - from) * width, height);
  context.clip();
}

function drawOverlays(context) {
  if (!state.maps) return;
  const left = (shownUntil - performance.now()) / SHOWN;
  if (state.mask) drawMask(context, view, state.maps, 1);
  else if (left > 0) {
    drawMask(context, view, state.maps, calm.matches ? 0.6 : Math.min(1, 2 * left) * 0.75);
    redraw();
  }
  if (state.flow) drawFlow(context, view, state.maps);
}

/** Strokes that the loop does not know yet, arrows and anchors while they matter, and what the list points out. */
function drawEdits(context) {
  const arrows = state.flow || state.tool === "push" || state.tool === "anchor";
  for (const edit of state.edits) {
    const strong = edit === state.marked;
    const waits = !state.shown.includes(edit);
    if (edit.stroke && (strong || waits)) paintStroke(context, view, edit, strong ? 0.6 : 0.42);
    if (edit.arrow && (strong || waits || arrows)) drawPush(context, edit.arrow, strong);
    if (edit.point && (strong || waits || arrows)) drawAnchor(context, view, edit, strong);
  }
}

function drawPush(context, [x0, y0, x1, y1], strong) {
  drawArrow(context, view.point([x0, y0]), view.point([x1, y1]), {width: strong ? 5 : 3.5});
}

function drawGesture(context) {
  if (gesture.points) paintStroke(context, view, gesture, 0.5);
  else if (gesture.tool === "push") drawPush(context, [...gesture.from, ...gesture.to], true);
  else drawAnchor(context, view, gesture, true);
}

function drawTool(context) {
  const at = cursor ?? pointer;
  if (!at || state.tool === "view") return;
  if (BRUSHES.includes(state.tool)) {
    const colour = COLOURS[state.tool === "paint" ? state.what : state.tool];
    drawBrush(context, view, at, state.radii[state.tool], colour, cursor !== null);
  } else if (cursor) {
    drawCross(context, view, at);
  }
}

function showWhatItCameTo() {
  const painted = edits => edits.filter(edit => edit.kind === "paint").length;
  if (state.phase === "ready" && state.shown.length && painted(state.shown) !== shownBefore) {
    shownUntil = performance.now() + SHOWN;
    setTimeout(redraw, SHOWN + 20);
  }
  shownBefore = painted(state.shown);
  redraw();
}

let shownBefore = 0;

// --- pointers

function place(event) {
  const {left, top} = $("marks").getBoundingClientRect();
  return [event.clientX - left, event.clientY - top];
}

function down(event) {
  if (state.phase !== "ready" || event.button > 1) return;
  cursor = null;
  $("marks").setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, place(event));
  if (fingers.size > 1) {
    gesture = null;  // two fingers move the picture
  } else if (event.button === 0 && state.tool !== "view") {
    gesture = begun(view.fraction(place(event)), aspect());
  }
  redraw();
}

function move(event) {
  const at = place(event);
  pointer = event.pointerType === "touch" && !fingers.size ? null : view.fraction(at);
  if (!gesture) cursor = null;  // the mouse takes over from the keyboard
  const before = fingers.get(event.pointerId);
  if (before && fingers.size > 1) pinch(event.pointerId, before, at);
  else if (before && gesture) follow(event);
  else if (before) {
    view.moveBy(at[0] - before[0], at[1] - before[1]);
    layOut();
  }
  if (before) fingers.set(event.pointerId, at);
  redraw();
}

function follow(event) {
  const passed = event.getCoalescedEvents?.() ?? [];
  for (const each of passed.length ? passed : [event]) drawn(gesture, view.fraction(place(each)));
}

function pinch(id, before, at) {
  const [, other] = [...fingers].find(([finger]) => finger !== id);
  const apart = point => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
  const middle = [(at[0] + other[0]) / 2, (at[1] + other[1]) / 2];
  view.moveBy((at[0] - before[0]) / 2, (at[1] - before[1]) / 2);
  zoomBy(apart(at) / apart(before), middle);
}

function up(event) {
  if (!fingers.delete(event.pointerId)) return;
  if (event.pointerType === "touch") pointer = null;
  if (gesture && event.type === "pointerup") finish();
  else giveUp();
}

function finish() {
  const done = edit(gesture);
  gesture = null;
  if (done) addEdit(done);
  redraw();
}

function wheel(event) {
  if (state.phase !== "ready") return;
  event.preventDefault();
  const turned = event.deltaY || event.deltaX;
  if (event.shiftKey) growBrush(turned < 0 ? 1.12 : 1 / 1.12);
  else zoomBy(Math.exp(-turned * (event.ctrlKey ? 0.01 : 0.0018)), place(event));
}

function aspect() {
  return state.scene.width / state.scene.height;
}

// --- keys

const STEPS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

function key(event) {
  if (state.phase !== "ready" || event.ctrlKey || event.metaKey) return;
  const step = STEPS[event.key];
  if (step && state.tool === "view") {
    view.moveBy(-60 * step[0], -60 * step[1]);
    layOut();
  } else if (step) {
    walk(step, event.shiftKey ? 5 : event.altKey ? 0.2 : 1);
  } else if (event.key === "Enter" && state.tool !== "view" || event.key === " " && paintsByKey()) {
    gesture ? endByKey() : beginByKey();
  } else {
    return;
  }
  event.preventDefault();
  event.stopPropagation();
}

function walk([dx, dy], times) {
  arrive();
  const [wide, high] = aspect() > 1 ? [aspect(), 1] : [1, 1 / aspect()];
  const step = 0.02 * times;
  cursor = [cursor[0] + dx * step / wide, cursor[1] + dy * step / high].map(value => Math.min(1, Math.max(0, value)));
  if (gesture) drawn(gesture, cursor);
  view.reveal(cursor);
  layOut();
  tellPlace();
}

function beginByKey() {
  arrive();
  gesture = begun(cursor, aspect());
  clearTimeout(telling);
  say(state.tool === "push" ? "Arrow begins; move to its end and press Enter" : "Drawing; press Enter to end");
  redraw();
}

function endByKey() {
  finish();
  say("Done");
}

/** The keyboard has a place from the moment it is in the picture. */
function arrive() {
  cursor ??= pointer ?? [0.5, 0.5];
  redraw();
}

/** A stroke of the keyboard ends where the keyboard leaves. */
function leave() {
  clearTimeout(telling);
  if (cursor && giveUp()) say("Given up what was being drawn");
  cursor = null;
  redraw();
}

let telling = 0;

function tellPlace() {
  clearTimeout(telling);
  telling = setTimeout(() => {
    if (cursor) say(`${Math.round(100 * cursor[0])} percent across, ${Math.round(100 * cursor[1])} down`);
  }, 500);
}
