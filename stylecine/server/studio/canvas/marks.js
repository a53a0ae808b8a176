// Draws what lies over the picture: strokes, arrows, anchors, the brush.

export const COLOURS = {
  ...{sky: "#79b4ff", water: "#2fd4c2", falls: "#b79bff", smoke: "#ffb45e", cloth: "#b8e06a"},
  ...{freeze: "#eaf6ff", erase: "#ff7f7f", speed: "#ffe08a", push: "#ffffff", anchor: "#ffffff"},
};
const DARK = "rgb(8 12 14 / 0.75)";

/** The colour of an edit, or of a gesture. */
export function colourOf({kind, tool, what, mode}) {
  if (tool) return COLOURS[tool === "paint" ? what : tool];
  if (kind === "paint") return COLOURS[mode === "add" ? what : mode];
  return COLOURS[kind];
}

/** An edit or gesture that was painted, as translucent colour of the brush's width; `strength` in [0,1]. */
export function paintStroke(context, view, painted, strength) {
  const points = (painted.points ?? painted.stroke).map(point => view.point(point));
  const layer = context;
  layer.save();
  layer.globalAlpha = strength;
  layer.lineCap = layer.lineJoin = "round";
  layer.lineWidth = 2 * painted.radius * view.short;
  layer.strokeStyle = colourOf(painted);
  layer.beginPath();
  layer.moveTo(...points[0]);
  for (const point of points.length > 1 ? points.slice(1) : [[points[0][0] + 0.01, points[0][1]]]) layer.lineTo(...point);
  layer.stroke();
  layer.restore();
}

/** An arrow from one place of the stage to another. */
export function drawArrow(context, from, to, {width = 3, colour = "#fff", start = true} = {}) {
  const angle = Math.atan2(to[1] - from[1], to[0] - from[0]);
  const length = Math.hypot(to[0] - from[0], to[1] - from[1]);
  const head = Math.min(5 * width, length * 0.6);
  const wing = turn => [to[0] - head * Math.cos(angle + turn), to[1] - head * Math.sin(angle + turn)];
  context.save();
  context.lineCap = context.lineJoin = "round";
  for (const [thick, ink] of [[width + 3, DARK], [width, colour]]) {
    context.lineWidth = thick;
    context.strokeStyle = context.fillStyle = ink;
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.moveTo(...wing(0.5));
    context.lineTo(...to);
    context.lineTo(...wing(-0.5));
    context.stroke();
    if (!start) continue;
    context.beginPath();
    context.arc(...from, width + (thick - width) / 2, 0, 2 * Math.PI);
    context.fill();
  }
  context.restore();
}

/** A circle of calm around a point of rest. */
export function drawAnchor(context, view, {point, radius}, strong = false) {
  const [x, y] = view.point(point);
  circle(context, x, y, radius * view.short, {fill: "rgb(255 255 255 / 0.14)", dash: [6, 6], width: strong ? 2.5 : 1.5});
  circle(context, x, y, 5, {fill: "#fff"});
}

/** Where the brush is and how wide; `exact` marks its middle, for the keyboard. */
export function drawBrush(context, view, at, radius, colour, exact) {
  const [x, y] = view.point(at);
  const around = radius * view.short;
  circle(context, x, y, around, {fill: `${colour}26`, width: 1.75});
  if (exact) cross(context, x, y, 7);
}

/** The keyboard's place for tools without a brush. */
export function drawCross(context, view, at) {
  cross(context, ...view.point(at), 11);
}

function circle(context, x, y, radius, {fill = null, dash = [], width = 1.5}) {
  context.save();
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  if (fill) {
    context.fillStyle = fill;
    context.fill();
  }
  context.lineWidth = width + 2;
  context.strokeStyle = DARK;
  context.stroke();
  context.setLineDash(dash);
  context.lineWidth = width;
  context.strokeStyle = "#fff";
  context.stroke();
  context.restore();
}

function cross(context, x, y, arm) {
  context.save();
  context.lineCap = "round";
  for (const [width, ink] of [[5, DARK], [2, "#fff"]]) {
    context.lineWidth = width;
    context.strokeStyle = ink;
    context.beginPath();
    context.moveTo(x - arm, y);
    context.lineTo(x + arm, y);
    context.moveTo(x, y - arm);
    context.lineTo(x, y + arm);
    context.stroke();
  }
  context.restore();
}
