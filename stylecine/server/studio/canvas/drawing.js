// Draws strokes, arrows, anchors and the brush over the picture.

import {COLOURS as CLASS_COLOURS} from "../declared.js";

export const COLOURS = {
  ...CLASS_COLOURS,
  ...{freeze: "#eaf6ff", erase: "#ff7f7f", speed: "#ffe08a", push: "#ffffff", anchor: "#ffffff", doubt: "#ffc233"},
};
const DARK = "rgb(8 12 14 / 0.75)";  // outline of light lines, so that they are visible on any photo
const WHITE = "#fff";

/** The colour of an edit, or of a gesture. */
export function colourOf({kind, tool, what, mode}) {
  if (tool) return COLOURS[tool === "paint" ? what : tool];
  if (kind === "paint") return COLOURS[mode === "add" ? what : mode];
  return COLOURS[kind];
}

/** A painted edit or gesture; `alpha` in [0,1]. */
export function drawStroke(context, viewport, painted, alpha) {
  const points = (painted.points ?? painted.stroke).map(point => viewport.toStage(point));
  context.save();
  context.globalAlpha = alpha;
  context.lineCap = context.lineJoin = "round";
  context.lineWidth = 2 * painted.radius * viewport.short;
  context.strokeStyle = colourOf(painted);
  context.beginPath();
  context.moveTo(points[0][0] - 0.01, points[0][1]);  // draws a single point too
  for (const point of points) context.lineTo(...point);
  context.stroke();
  context.restore();
}

/** An arrow along points of the stage. */
export function drawArrow(context, points, {width = 3, dot = true} = {}) {
  const start = points[0], [before, to] = points.slice(-2);
  const angle = Math.atan2(to[1] - before[1], to[0] - before[0]);
  const length = Math.hypot(to[0] - start[0], to[1] - start[1]);
  const head = Math.min(5 * width, length * 0.6);
  const barb = turn => [to[0] - head * Math.cos(angle + turn), to[1] - head * Math.sin(angle + turn)];
  const path = new Path2D();
  path.moveTo(...start);
  for (const point of points.slice(1)) path.lineTo(...point);
  path.moveTo(...barb(0.5));
  path.lineTo(...to);
  path.lineTo(...barb(-0.5));
  outlined(context, path, width, 3);
  if (!dot) return;
  const beginning = new Path2D();
  beginning.arc(...start, width / 2, 0, 2 * Math.PI);
  outlined(context, beginning, width, 3);
}

/** A point that does not move, and a circle with its radius. */
export function drawAnchor(context, viewport, {point, radius}, strong = false) {
  const [x, y] = viewport.toStage(point);
  const circle = {fill: "rgb(255 255 255 / 0.14)", dash: [6, 6], width: strong ? 2.5 : 1.5};
  drawCircle(context, x, y, radius * viewport.short, circle);
  drawCircle(context, x, y, 5, {fill: WHITE});
}

/** A dashed circle around a stroke. */
export function drawRing(context, viewport, {stroke, radius}) {
  const [xs, ys] = [0, 1].map(axis => stroke.map(point => viewport.toStage(point)[axis]));
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const reach = Math.hypot(right - left, bottom - top) / 2 + radius * viewport.short + 8;
  drawCircle(context, (left + right) / 2, (top + bottom) / 2, reach, {dash: [7, 6], width: 2.5});
}

/** The brush; `cross` marks its centre, for the keyboard. */
export function drawBrush(context, viewport, at, radius, colour, cross) {
  const [x, y] = viewport.toStage(at);
  drawCircle(context, x, y, radius * viewport.short, {fill: `${colour}26`, width: 1.75});
  if (cross) drawCross(context, x, y, 7);
}

export function drawCross(context, x, y, arm = 11) {
  outlined(context, new Path2D(`M${x - arm} ${y}h${2 * arm}M${x} ${y - arm}v${2 * arm}`), 2, 3);
}

function drawCircle(context, x, y, radius, {fill = null, dash = [], width = 1.5}) {
  const path = new Path2D();
  path.arc(x, y, radius, 0, 2 * Math.PI);
  if (fill) {
    context.fillStyle = fill;
    context.fill(path);
  }
  outlined(context, path, width, 2, dash);
}

/** A white line on a dark one, which is wider by `outline`. */
function outlined(context, path, width, outline, dash = []) {
  context.save();
  context.lineCap = context.lineJoin = "round";
  context.lineWidth = width + outline;
  context.strokeStyle = DARK;
  context.stroke(path);
  context.setLineDash(dash);
  context.lineWidth = width;
  context.strokeStyle = WHITE;
  context.stroke(path);
  context.restore();
}
