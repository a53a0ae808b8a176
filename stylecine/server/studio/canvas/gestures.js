// A gesture with the current tool, from its first point to the resulting edit.

import {MAX_WAY, TOOLS} from "../declared.js";
import {clamp} from "../dom.js";
import {state, toolOf} from "../state.js";

export const BRUSHES = TOOLS.filter(({gesture}) => gesture === "stroke").map(({id}) => id);
const SPACING = 0.2;  // minimum distance between points of a stroke, as a fraction of its radius
const MAX_POINTS = 2000;
const MIN_ARROW = 0.012;  // minimum length of an arrow, as a fraction of the picture
const STEP = 0.015;  // between points of an arrow's way; coming closer to an earlier one shortens the way to there
const BEND = 0.04;  // of the arrow's extent: how far a bend is from the straight line
const MAX_MISS = 0.05;  // how far outside the picture an arrow or anchor may start, as a fraction of the short side

/** Starts at `point`, fractions of the picture; null if that is too far outside. `aspect`: width over height. */
export function startGesture(point, aspect) {
  const {tool, radii, paintClass} = state;
  const start = inPicture(point);
  if (!BRUSHES.includes(tool) && distance(start, point, aspect) > MAX_MISS) return null;
  const kind = toolOf(tool).gesture;
  if (kind === "arrow") return {tool, way: [start], to: start, aspect};
  if (kind === "point") return {tool, point: start, radius: radii[tool], aspect};
  return {tool, points: [nearPicture(point)], radius: radii[tool], what: paintClass, aspect};
}

export function continueGesture(gesture, point) {
  if (gesture.way) {
    extend(gesture, point.map(value => clamp(value, -1, 2)));
  } else if (gesture.point) {
    const radius = distance(gesture.point, point, gesture.aspect);
    if (radius > 0.02) gesture.radius = Math.min(0.6, radius);
  } else if (gesture.points.length < MAX_POINTS) {
    const next = nearPicture(point);
    if (distance(gesture.points.at(-1), next, gesture.aspect) >= SPACING * gesture.radius) gesture.points.push(next);
  }
}

/** The edit as the service expects it; null for an accidental gesture. */
export function toEdit(gesture) {
  const {points, aspect} = gesture, {id, edit} = toolOf(gesture.tool);
  const outside = point => distance(point, inPicture(point), aspect) >= gesture.radius;
  if (points?.every(outside)) return null;
  const stroke = points?.map(point => point.map(rounded));
  const radius = rounded(gesture.radius ?? 0);
  if (gesture.way) {
    const way = wayOf(gesture);
    const tooShort = way.length === 2 && Math.hypot(way[1][0] - way[0][0], way[1][1] - way[0][1]) < MIN_ARROW;
    return tooShort ? null : {...edit, arrow: way.flat().map(rounded)};
  }
  if (gesture.point) return {...edit, point: gesture.point.map(rounded), radius};
  const chosen = {paint: {what: gesture.what}, speed: {factor: state.factor}}[id];
  return {...edit, ...chosen, stroke, radius};
}

function extend(gesture, to) {
  const {way, to: from, aspect} = gesture, count = Math.ceil(distance(from, to, aspect) / STEP);
  for (let step = 1; step <= count; step++) {
    const next = from.map((value, axis) => value + step / count * (to[axis] - value));
    const near = way.findIndex(point => distance(point, next, aspect) < STEP);
    if (near < 0) way.push(gesture.to);
    else way.length = near + 1;
    gesture.to = next;
  }
}

/** The points of an arrow that was drawn: its ends and where it bends. */
export function wayOf({way, to, straight, aspect}) {
  const points = straight ? [way[0], to] : [...way, to], kept = [0, points.length - 1];
  const tolerance = BEND * Math.max(...points.map(point => distance(point, way[0], aspect)));
  while (kept.length < MAX_WAY) {
    const offsets = points.map((point, index) => {
      const next = kept.findIndex(bend => bend > index), [from, to] = [kept[next - 1], kept[next]];
      return next < 0 ? 0 : distanceToLeg(point, points[from], points[to], aspect);
    });
    const furthest = Math.max(...offsets);
    if (furthest <= tolerance) break;
    kept.push(offsets.indexOf(furthest));
    kept.sort((a, b) => a - b);
  }
  return kept.map(index => points[index]);
}

function distanceToLeg(point, a, b, aspect) {
  const across = (b[0] - a[0]) * aspect, down = b[1] - a[1], squared = across ** 2 + down ** 2;
  const along = ((point[0] - a[0]) * aspect * across + (point[1] - a[1]) * down) / (squared || 1);
  const share = clamp(along, 0, 1);
  return distance(point, [a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])], aspect);
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
