// A gesture with the current tool, from its first point to the resulting edit.

import {clamp} from "../dom.js";
import {state} from "../state.js";

export const BRUSHES = ["paint", "erase", "freeze", "speed"];
const SPACING = 0.2;  // minimum distance between points of a stroke, as a fraction of its radius
const MAX_POINTS = 2000;
const MIN_ARROW = 0.012;  // minimum length of an arrow, as a fraction of the picture
const MAX_MISS = 0.05;  // how far outside the picture an arrow or anchor may start, as a fraction of the short side

/** Starts at `point`, fractions of the picture; null if that is too far outside. `aspect`: width over height. */
export function startGesture(point, aspect) {
  const {tool, radii, paintClass} = state;
  const start = inPicture(point);
  if (!BRUSHES.includes(tool) && distance(start, point, aspect) > MAX_MISS) return null;
  if (tool === "push") return {tool, from: start, to: start};
  if (tool === "anchor") return {tool, point: start, radius: radii.anchor, aspect};
  return {tool, points: [nearPicture(point)], radius: radii[tool], what: paintClass, aspect};
}

export function continueGesture(gesture, point) {
  if (gesture.tool === "push") {
    gesture.to = point.map(value => clamp(value, -1, 2));
  } else if (gesture.tool === "anchor") {
    const radius = distance(gesture.point, point, gesture.aspect);
    if (radius > 0.02) gesture.radius = Math.min(0.6, radius);
  } else if (gesture.points.length < MAX_POINTS) {
    const next = nearPicture(point);
    if (distance(gesture.points.at(-1), next, gesture.aspect) >= SPACING * gesture.radius) gesture.points.push(next);
  }
}

/** The edit as the service expects it; null for an accidental gesture. */
export function toEdit(gesture) {
  const {tool, points, aspect, from, to} = gesture;
  const outside = point => distance(point, inPicture(point), aspect) >= gesture.radius;
  if (points?.every(outside)) return null;
  const stroke = points?.map(point => point.map(rounded));
  const radius = rounded(gesture.radius ?? 0);
  if (tool === "push") {
    const tooShort = Math.hypot(to[0] - from[0], to[1] - from[1]) < MIN_ARROW;
    return tooShort ? null : {kind: "push", arrow: [...from, ...to].map(rounded)};
  }
  if (tool === "anchor") return {kind: "anchor", point: gesture.point.map(rounded), radius};
  if (tool === "speed") return {kind: "speed", stroke, radius, factor: state.factor};
  const [what, mode] = tool === "paint" ? [gesture.what, "add"] : [null, tool];
  return {kind: "paint", what, mode, stroke, radius};
}

/** The distance between two points, in short sides of the picture. */
function distance(a, b, aspect) {
  const [width, height] = aspect > 1 ? [aspect, 1] : [1, 1 / aspect];
  return Math.hypot((a[0] - b[0]) * width, (a[1] - b[1]) * height);
}

function inPicture(point) {
  return point.map(value => clamp(value, 0, 1));
}

function nearPicture(point) {
  return point.map(value => clamp(value, -0.2, 1.2));
}

function rounded(value) {
  return Math.round(1e5 * value) / 1e5;
}
