// A gesture with the current tool, from its first point to the edit that it makes.

import {clamp} from "../dom.js";
import {state} from "../state.js";

export const BRUSHES = ["paint", "erase", "freeze", "speed"];
const SPACING = 0.2;  // of the radius: least distance between points of a stroke
const MAX_POINTS = 2000;
const MIN_ARROW = 0.012;  // of the picture: a shorter arrow is a slip
const MAX_MISS = 0.05;  // of the short side: arrows and anchors that start farther outside the picture are slips

/** Starts at a fraction of the picture; null if that is too far outside. `aspect`: width over height. */
export function startGesture(point, aspect) {
  const start = inPicture(point);
  if (!BRUSHES.includes(state.tool) && distance(start, point, aspect) > MAX_MISS) return null;
  if (state.tool === "push") return {tool: "push", from: start, to: start};
  if (state.tool === "anchor") return {tool: "anchor", point: start, radius: state.radii.anchor, aspect};
  return {tool: state.tool, points: [nearPicture(point)], radius: state.radii[state.tool], what: state.paintClass, aspect};
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

/** The edit in the form of the service; null for a slip. */
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

/** Distance of two fractions of the picture, in short sides. */
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
