// What is being drawn with the tool at hand, from the first touch to the edit that comes of it.

import {state} from "../state.js";

export const BRUSHES = ["paint", "erase", "freeze", "speed"];
const NEAR = 0.2;  // of the radius: points of a stroke lie no closer together
const MOST = 2000;  // points of a stroke
const SHORT = 0.012;  // of the picture: a shorter arrow is a slip
const BESIDE = 0.05;  // of the short side: arrows and anchors that begin farther from the picture are slips

/** A gesture begins at a fraction of the picture, null too far beside it; `aspect` is width over height. */
export function begun(point, aspect) {
  const at = inside(point);
  if (!BRUSHES.includes(state.tool) && distance(at, point, aspect) > BESIDE) return null;
  if (state.tool === "push") return {tool: "push", from: at, to: at};
  if (state.tool === "anchor") return {tool: "anchor", point: at, radius: state.radii.anchor, aspect};
  return {tool: state.tool, points: [near(point)], radius: state.radii[state.tool], what: state.what, aspect};
}

/** It goes on to another point. */
export function drawn(gesture, point) {
  if (gesture.tool === "push") {
    gesture.to = [bounded(point[0], -1, 2), bounded(point[1], -1, 2)];
  } else if (gesture.tool === "anchor") {
    const radius = distance(gesture.point, point, gesture.aspect);
    if (radius > 0.02) gesture.radius = Math.min(0.6, radius);
  } else if (gesture.points.length < MOST) {
    const to = near(point);
    if (distance(gesture.points.at(-1), to, gesture.aspect) >= NEAR * gesture.radius) gesture.points.push(to);
  }
}

/** The edit that a finished gesture is, as the server wants it; null where it is none, as beside the picture. */
export function edit(gesture) {
  const {points, aspect} = gesture;
  const beside = point => distance(point, inside(point), aspect) >= gesture.radius;
  if (points?.every(beside)) return null;
  const stroke = points?.map(point => point.map(rounded));
  const radius = rounded(gesture.radius ?? 0);
  switch (gesture.tool) {
    case "push": {
      const [dx, dy] = [gesture.to[0] - gesture.from[0], gesture.to[1] - gesture.from[1]];
      return Math.hypot(dx, dy) < SHORT ? null : {kind: "push", arrow: [...gesture.from, ...gesture.to].map(rounded)};
    }
    case "anchor": return {kind: "anchor", point: gesture.point.map(rounded), radius};
    case "speed": return {kind: "speed", stroke, radius, factor: state.factor};
    case "paint": return {kind: "paint", what: gesture.what, mode: "add", stroke, radius};
    default: return {kind: "paint", what: null, mode: gesture.tool, stroke, radius};
  }
}

/** Two fractions' distance in short sides. */
function distance(a, b, aspect) {
  const [wide, high] = aspect > 1 ? [aspect, 1] : [1, 1 / aspect];
  return Math.hypot((a[0] - b[0]) * wide, (a[1] - b[1]) * high);
}

function bounded(value, least, most) {
  return Math.min(most, Math.max(least, value));
}

function inside([x, y]) {
  return [bounded(x, 0, 1), bounded(y, 0, 1)];
}

function near([x, y]) {
  return [bounded(x, -0.2, 1.2), bounded(y, -0.2, 1.2)];
}

function rounded(value) {
  return Math.round(1e5 * value) / 1e5;
}
