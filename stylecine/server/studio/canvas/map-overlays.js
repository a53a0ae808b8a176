// Overlays drawn from the player's maps: the mask as tints, the flow as arrows.

import {COLOURS, drawArrow} from "./drawing.js";

const TINT_ALPHA = 0.5;  // of a class's colour where it moves
const SHADE_ALPHA = 0.45;  // of black where nothing moves
const SPACING = 46;  // CSS pixels between arrows
const [MIN_LENGTH, MAX_LENGTH] = [10, 34];  // CSS pixels of the slowest and the fastest arrow
const CARRIED = 0.02;  // of the long side: mean displacement of cloth with the longest arrow
const MIN_SPEED = 0.02;  // for an arrow, as a fraction of that of the longest
const MIN_ALPHA = 0.3;  // of the layers, for an arrow

let mask = {maps: null, canvas: null};  // the last maps' tints
let flow = {maps: null, maxSpeed: 1, far: 1};

/** Tints what moves by its class, and darkens what does not. */
export function drawMask(context, viewport, maps, alpha) {
  if (mask.maps !== maps) mask = {maps, canvas: tintedCanvas(maps)};
  const {cell, margin} = maps.grid;
  const {left, top, width, height} = viewport.place;
  context.save();
  context.globalAlpha = alpha;
  context.imageSmoothingQuality = "high";
  const source = [margin, margin, maps.width, maps.height].map(length => length / cell);
  context.drawImage(mask.canvas, ...source, left, top, width, height);
  context.restore();
}

/** Arrows along the motion, longer where it is faster; of cloth to where the wind carries it, longer where farther. */
export function drawFlow(context, viewport, maps) {
  if (flow.maps !== maps) flow = {maps, maxSpeed: highSpeed(maps), far: CARRIED * Math.max(maps.width, maps.height)};
  const {left, top, width, height} = viewport.place;
  const {canvas} = context;
  for (const y of arrowPlaces(top, height, canvas.height / devicePixelRatio)) {
    for (const x of arrowPlaces(left, width, canvas.width / devicePixelRatio)) {
      const place = [(x - left) / width * maps.width, (y - top) / height * maps.height];
      const [dx, dy] = motionAt(maps, place) ?? swayAt(maps, place) ?? [0, 0];
      const share = Math.hypot(dx, dy);  // of the longest arrow
      if (!share) continue;
      const length = MIN_LENGTH + (MAX_LENGTH - MIN_LENGTH) * Math.min(1, Math.sqrt(share));
      const [ax, ay] = [dx, dy].map(component => component / share * length / 2);
      drawArrow(context, [[x - ax, y - ay], [x + ax, y + ay]], {width: 2, dot: false});
    }
  }
}

/** The landscape's velocity at a place in its pixels, relative to a high one; null where it stands still. */
function motionAt(maps, place) {
  const cell = cellAt(maps.grid, place), {velocity} = maps;
  const shares = [velocity[2 * cell], velocity[2 * cell + 1]].map(component => component / flow.maxSpeed);
  return alphaAt(maps, cell) >= MIN_ALPHA && Math.hypot(...shares) >= MIN_SPEED ? shares : null;
}

/** How far the wind carries cloth at a place, relative to far; null where there is none. */
function swayAt({overlays, grid, layers}, place) {
  const cloth = overlays.find(({kind}) => kind === "cloth");
  if (!cloth || layers.cloth[cellAt(grid, place)] < 255 * MIN_ALPHA) return null;
  const cell = cellAt(cloth.grid, place), {displacement} = cloth;
  const shares = [displacement[2 * cell], displacement[2 * cell + 1]].map(component => component / flow.far);
  return Math.hypot(...shares) >= MIN_SPEED ? shares : null;
}

/** The index of the cell of a map at a place. */
function cellAt({width, height, cell, margin}, place) {
  const [column, row] = place.map(pixels => Math.floor((pixels + margin) / cell));
  return Math.min(row, height - 1) * width + Math.min(column, width - 1);
}

/** Positions of the arrows along one side of the picture, which begins at `start`, as far as they are on the stage. */
function arrowPlaces(start, size, stage) {
  const first = start + SPACING / 2;
  const begin = Math.max(0, Math.floor(-first / SPACING));
  const end = Math.ceil((Math.min(start + size, stage + SPACING) - first) / SPACING);
  return Array.from({length: Math.max(0, end - begin)}, (_, k) => first + (begin + k) * SPACING);
}

/** The 90th percentile of the speeds where something moves. */
function highSpeed(maps) {
  const speeds = [];
  for (let cell = 0; cell < maps.grid.width * maps.grid.height; cell += 7) {
    if (alphaAt(maps, cell) >= MIN_ALPHA) speeds.push(Math.hypot(maps.velocity[2 * cell], maps.velocity[2 * cell + 1]));
  }
  return speeds.sort((a, b) => a - b)[Math.floor(0.9 * speeds.length)] || 1;
}

/** How much of a cell moves, by any class. */
function alphaAt({layers}, cell) {
  return 1 - Object.values(layers).reduce((still, layer) => still * (1 - layer[cell] / 255), 1);
}

function tintedCanvas(maps) {
  const {width, height} = maps.grid;
  const canvas = new OffscreenCanvas(width, height);
  const image = new ImageData(width, height);
  const classes = Object.entries(maps.layers).map(([name, layer]) => [layer, parseColour(COLOURS[name])]);
  for (let cell = 0; cell < width * height; cell++) {
    const alpha = alphaAt(maps, cell);
    const sum = classes.reduce((sum, [layer]) => sum + layer[cell], 0) || 1;
    for (let channel = 0; channel < 3; channel++) {
      const mean = classes.reduce((sum, [layer, colour]) => sum + layer[cell] * colour[channel], 0) / sum;
      image.data[4 * cell + channel] = mean * alpha;
    }
    image.data[4 * cell + 3] = 255 * (SHADE_ALPHA + (TINT_ALPHA - SHADE_ALPHA) * alpha);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function parseColour(hex) {
  return [1, 3, 5].map(start => parseInt(hex.slice(start, start + 2), 16));
}
