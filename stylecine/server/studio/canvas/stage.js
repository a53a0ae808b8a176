// The stage: the picture's place, the drawing over it, and its pointer and key events.

import {$, clamp} from "../dom.js";
import {announce} from "../notifications.js";
import {addEdit} from "../session.js";
import {openDoubts, set, state, watch} from "../state.js";
import {COLOURS, drawAnchor, drawArrow, drawBrush, drawCross, drawRing, drawStroke} from "./drawing.js";
import {BRUSHES, continueGesture, startGesture, toEdit, wayOf} from "./gestures.js";
import {drawFlow, drawMask} from "./map-overlays.js";
import {Viewport} from "./viewport.js";

const MASK_TIME = 1600;  // ms for which the mask shows the result of a stroke
const ARROW_KEYS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
export const [MIN_RADIUS, MAX_RADIUS] = [0.006, 0.4];  // of the short side
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
const viewport = new Viewport();

let gesture = null;
let pointer = null;  // position of the mouse, fractions of the picture
let cursor = null;  // position of the keyboard's brush, fractions of the picture
let maskUntil = 0;
let renderedStrokes = 0;
let redrawRequested = false;
let announceTimer = 0;
let onPlaced = () => {};
const pointers = new Map();  // those that are down, with their positions on the stage

/** Calls `placed` with the viewport whenever the picture's place changes. */
export function initStage(placed) {
  onPlaced = placed;
  const overlay = $("overlay");
  new ResizeObserver(updateLayout).observe($("stage"));
  $("photo").addEventListener("load", updateLayout);
  watch(["phase"], () => { if (state.phase !== "ready") reset(); });
  watch(["scene", "phase"], updateLayout);
  watch(["tool", "paintClass", "radii", "edits", "mask", "flow", "maps", "highlighted", "split", "before"], redraw);
  watch(["checking", "checked", "doubts", "dismissed"], redraw);
  watch(["renderedEdits"], showStrokeResult);
  watch(["tool"], () => {
    gesture = null;
    overlay.dataset.tool = state.tool;
    overlay.dataset.brush = String(BRUSHES.includes(state.tool));
  });
  overlay.addEventListener("pointerdown", pointerDown);
  overlay.addEventListener("pointermove", pointerMove);
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) overlay.addEventListener(name, pointerUp);
  overlay.addEventListener("pointerleave", () => { pointer = null; redraw(); });
  overlay.addEventListener("keyup", event => { if (event.key === "Tab") showCursor(); });
  overlay.addEventListener("blur", hideCursor);
  overlay.addEventListener("wheel", handleWheel, {passive: false});
  overlay.addEventListener("keydown", handleKey);
  $("zoom-in").addEventListener("click", () => zoomBy(1.5));
  $("zoom-out").addEventListener("click", () => zoomBy(1 / 1.5));
  $("zoom-fit").addEventListener("click", fit);
}

/** The short side of a scene on the screen in device pixels, even if it is not shown yet. */
export function shortSideOnScreen(scene) {
  viewport.measure(stageSize(), scene);
  return viewport.short * devicePixelRatio;
}

export function zoomBy(factor, point) {
  viewport.zoomAt(factor, point);
  updateLayout();
}

export function fit() {
  viewport.fit();
  updateLayout();
}

export function scaleBrush(factor) {
  if (!(state.tool in state.radii)) return;
  setRadius(state.radii[state.tool] * factor);
  announce(`Brush ${Math.round(200 * state.radii[state.tool])} percent of the short side`);
}

export function setRadius(radius) {
  set({radii: {...state.radii, [state.tool]: clamp(radius, MIN_RADIUS, MAX_RADIUS)}});
}

/** Returns whether there was one. */
export function cancelGesture() {
  const existed = gesture !== null;
  gesture = null;
  redraw();
  return existed;
}

/** Prepares for the next photo. */
function reset() {
  gesture = pointer = cursor = null;
  pointers.clear();
  maskUntil = 0;
  viewport.fit();
}

/** Whether Space draws instead of playing. */
export function isPaintingByKey() {
  return document.activeElement === $("overlay") && cursor !== null && state.tool !== "view";
}

// --- layout

function stageSize() {
  const {clientWidth: width, clientHeight: height} = $("stage");
  return {width, height, padding: width < 700 ? 10 : 32};
}

function updateLayout() {
  const picture = state.phase === "opening" ? uploadedSize() : state.scene;
  if (!picture) return;
  const stage = stageSize();
  viewport.measure(stage, picture);
  const {left, top, width, height} = viewport.place;
  Object.assign($("picture").style, {left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px`});
  $("opening").style.bottom = `${Math.max(10, stage.height - top - height + 20)}px`;
  const overlay = $("overlay");
  for (const side of ["width", "height"]) {
    const pixels = Math.round(stage[side] * devicePixelRatio);
    if (overlay[side] !== pixels) overlay[side] = pixels;  // setting it clears the canvas
  }
  $("zoom-fit").textContent = viewport.zoom === 1 ? "Fit" : `${Math.round(100 * viewport.zoom)}%`;
  onPlaced(viewport);
  draw();
}

/** The size of the photo that is being opened; a .cine file cannot be shown yet. */
function uploadedSize() {
  const {naturalWidth: width, naturalHeight: height} = $("photo");
  return width ? {width, height} : {width: 3, height: 2};
}

// --- drawing

function redraw() {
  if (redrawRequested) return;
  redrawRequested = true;
  requestAnimationFrame(() => { redrawRequested = false; draw(); });
}

function draw() {
  // on the CPU: with the GPU, Chromium may still show what was drawn before the canvas was cleared
  const context = $("overlay").getContext("2d", {willReadFrequently: true});
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  const empty = state.phase !== "ready" || state.before || isEmpty();
  $("overlay").dataset.empty = String(empty);  // without a GPU it takes long to blend the overlay into each frame
  if (empty) return;
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  context.save();
  clipToAfter(context);
  drawMaps(context);
  drawEdits(context);
  if (state.checking) drawDoubts(context);
  context.restore();
  if (gesture) drawGesture(context);
  drawTool(context);
}

/** Whether nothing is to be drawn. */
function isEmpty() {
  const maps = state.maps && (state.mask || state.flow || performance.now() < maskUntil);
  const tool = state.tool !== "view" && (cursor ?? pointer);
  return !(maps || tool || gesture || state.checking || state.edits.some(isShown));
}

/** Clips to the picture, without the side that shows the original. */
function clipToAfter(context) {
  const {left, top, width, height} = viewport.place;
  const split = state.split ?? 0;
  context.beginPath();
  context.rect(left + split * width, top, (1 - split) * width, height);
  context.clip();
}

function drawMaps(context) {
  if (!state.maps) return;
  const remaining = (maskUntil - performance.now()) / MASK_TIME;
  if (state.mask) {
    drawMask(context, viewport, state.maps, 1);
  } else if (remaining > 0 && reducedMotion.matches) {
    drawMask(context, viewport, state.maps, 0.6);
  } else if (remaining > 0) {
    drawMask(context, viewport, state.maps, Math.min(1, 2 * remaining) * 0.75);
    redraw();  // it fades
  }
  if (state.flow) drawFlow(context, viewport, state.maps);
}

function drawEdits(context) {
  for (const edit of state.edits.filter(isShown)) {
    const strong = edit === state.highlighted;
    if (edit.stroke) drawStroke(context, viewport, edit, strong ? 0.6 : 0.42);
    if (edit.arrow) drawPush(context, pointsOf(edit.arrow), strong);
    if (edit.point) drawAnchor(context, viewport, edit, strong);
  }
}

/** Shown are edits that are not in the loop yet, arrows and anchors if they are relevant, and the highlighted edit. */
function isShown(edit) {
  const showsArrows = state.flow || state.tool === "push" || state.tool === "anchor";
  const relevant = (edit.arrow || edit.point) && showsArrows;
  return relevant || edit === state.highlighted || !state.renderedEdits.includes(edit);
}

/** What the mask is unsure of; a ring is around what is to be checked now. */
function drawDoubts(context) {
  for (const [index, edit] of openDoubts().entries()) {
    const now = index === state.checked;
    drawStroke(context, viewport, {...edit, kind: "doubt"}, now ? 0.6 : 0.3);
    if (now) drawRing(context, viewport, edit);
  }
}

function drawPush(context, points, strong) {
  drawArrow(context, points.map(point => viewport.toStage(point)), {width: strong ? 5 : 3.5});
}

/** [[x, y], ...] of an arrow x, y, ... */
function pointsOf(arrow) {
  return Array.from({length: arrow.length / 2}, (_, index) => arrow.slice(2 * index, 2 * index + 2));
}

function drawGesture(context) {
  if (gesture.points) drawStroke(context, viewport, gesture, 0.5);
  else if (gesture.way) drawPush(context, wayOf(gesture), true);
  else drawAnchor(context, viewport, gesture, true);
}

function drawTool(context) {
  const at = cursor ?? pointer;
  if (!at || state.tool === "view") return;
  if (BRUSHES.includes(state.tool)) {
    const colour = COLOURS[state.tool === "paint" ? state.paintClass : state.tool];
    drawBrush(context, viewport, at, state.radii[state.tool], colour, cursor !== null);
  } else if (cursor) {
    drawCross(context, ...viewport.toStage(at));
  }
}

/** Shows the mask for a moment after a stroke was added or removed. */
function showStrokeResult() {
  const strokes = state.renderedEdits.filter(edit => edit.kind === "paint").length;
  if (state.phase === "ready" && state.renderedEdits.length && strokes !== renderedStrokes) {
    maskUntil = performance.now() + MASK_TIME;
    setTimeout(redraw, MASK_TIME + 20);
  }
  renderedStrokes = strokes;
  redraw();
}

// --- pointers

function placeOf(event) {
  const {left, top} = $("overlay").getBoundingClientRect();
  return [event.clientX - left, event.clientY - top];
}

function pointerDown(event) {
  if (state.phase !== "ready" || event.button > 1) return;
  cursor = null;
  $("overlay").setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, placeOf(event));
  if (pointers.size > 1) {
    gesture = null;  // two fingers zoom and pan
  } else if (event.button === 0 && state.tool !== "view") {
    gesture = startGesture(viewport.toFraction(placeOf(event)), aspect());
  }
  redraw();
}

function pointerMove(event) {
  const place = placeOf(event);
  pointer = event.pointerType === "touch" && !pointers.size ? null : viewport.toFraction(place);
  if (!gesture) cursor = null;  // the mouse replaces the keyboard's brush
  const previous = pointers.get(event.pointerId);
  if (previous && pointers.size > 1) {
    pinch(event.pointerId, previous, place);
  } else if (previous && gesture) {
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) continueGesture(gesture, viewport.toFraction(placeOf(each)));
  } else if (previous) {
    viewport.pan(place[0] - previous[0], place[1] - previous[1]);
    updateLayout();
  }
  if (previous) pointers.set(event.pointerId, place);
  redraw();
}

function pinch(id, previous, place) {
  const [, other] = [...pointers].find(([otherId]) => otherId !== id);
  const distance = point => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
  viewport.pan((place[0] - previous[0]) / 2, (place[1] - previous[1]) / 2);
  zoomBy(distance(place) / distance(previous), [(place[0] + other[0]) / 2, (place[1] + other[1]) / 2]);
}

function pointerUp(event) {
  if (!pointers.delete(event.pointerId)) return;
  if (event.pointerType === "touch") pointer = null;
  if (gesture && event.type === "pointerup") finishGesture();
  else cancelGesture();
}

function finishGesture() {
  const edit = gesture && toEdit(gesture);
  gesture = null;
  if (edit) addEdit(edit);
  redraw();
}

function handleWheel(event) {
  if (state.phase !== "ready") return;
  event.preventDefault();
  const delta = event.deltaY || event.deltaX;
  if (event.shiftKey) scaleBrush(delta < 0 ? 1.12 : 1 / 1.12);
  else zoomBy(Math.exp(-delta * (event.ctrlKey ? 0.01 : 0.0018)), placeOf(event));
}

function aspect() {
  return state.scene.width / state.scene.height;
}

// --- keys

function handleKey(event) {
  if (state.phase !== "ready" || event.ctrlKey || event.metaKey) return;
  const direction = ARROW_KEYS[event.key];
  if (direction && state.tool === "view") {
    viewport.pan(-60 * direction[0], -60 * direction[1]);
    updateLayout();
  } else if (direction) {
    moveCursor(direction, event.shiftKey ? 5 : event.altKey ? 0.2 : 1);
  } else if (event.key === "Enter" && state.tool !== "view" || event.key === " " && isPaintingByKey()) {
    gesture ? finishByKey() : startByKey();
  } else {
    return;
  }
  event.preventDefault();
  event.stopPropagation();
}

function moveCursor([dx, dy], steps) {
  showCursor();
  const [width, height] = aspect() > 1 ? [aspect(), 1] : [1, 1 / aspect()];
  const step = 0.02 * steps;
  cursor = [cursor[0] + dx * step / width, cursor[1] + dy * step / height].map(value => clamp(value, 0, 1));
  if (gesture) continueGesture(gesture, cursor);
  viewport.reveal(cursor);
  updateLayout();
  clearTimeout(announceTimer);
  announceTimer = setTimeout(() => {
    if (cursor) announce(`${Math.round(100 * cursor[0])} percent across, ${Math.round(100 * cursor[1])} down`);
  }, 500);
}

function startByKey() {
  showCursor();
  gesture = {...startGesture(cursor, aspect()), straight: true};  // arrow keys would draw steps
  clearTimeout(announceTimer);
  announce(gesture.way ? "Arrow started; move to its end and press Enter" : "Drawing; press Enter to end");
  redraw();
}

function finishByKey() {
  finishGesture();
  announce("Done");
}

function showCursor() {
  cursor ??= pointer ?? [0.5, 0.5];
  redraw();
}

/** Losing the focus cancels a keyboard stroke. */
function hideCursor() {
  clearTimeout(announceTimer);
  if (cursor && cancelGesture()) announce("Stroke cancelled");
  cursor = null;
  redraw();
}
