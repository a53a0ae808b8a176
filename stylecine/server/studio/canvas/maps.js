// Overlays from the player's maps: classes as tints, the flow as arrows.

import {COLOURS, drawArrow} from "./marks.js";

const TINT = 0.5;  // of a class's colour, where it is sure
const SHADE = 0.45;  // of black, where nothing moves
const SPACING = 46;  // CSS pixels between two arrows of the flow
const [SHORTEST, LONGEST] = [10, 34];  // CSS pixels of an arrow, of the slowest and of the quickest
const STILL = 0.02;  // of the quickest: slower is no motion

let tinted = {maps: null, canvas: null};
let measured = {maps: null, quickest: 1};

/** What moves, tinted by its class; what stands still, darker. */
export function drawMask(context, view, maps, strength) {
  if (tinted.maps !== maps) tinted = {maps, canvas: tint(maps)};
  const {grid} = maps;
  const {left, top, width, height} = view.place;
  const [across, down] = [maps.width / grid.cell, maps.height / grid.cell];
  const margin = grid.margin / grid.cell;
  context.save();
  context.globalAlpha = strength;
  context.imageSmoothingQuality = "high";
  context.drawImage(tinted.canvas, margin, margin, across, down, left, top, width, height);
  context.restore();
}

/** Arrows where matter goes, the longer the quicker. */
export function drawFlow(context, view, maps) {
  const {left, top, width, height} = view.place;
  const {grid, velocity} = maps;
  if (measured.maps !== maps) measured = {maps, quickest: quickestOf(maps)};
  const {quickest} = measured;
  const {canvas} = context;
  for (const y of places(top, height, canvas.height / devicePixelRatio)) {
    for (const x of places(left, width, canvas.width / devicePixelRatio)) {
      const column = Math.floor(((x - left) / width * maps.width + grid.margin) / grid.cell);
      const row = Math.floor(((y - top) / height * maps.height + grid.margin) / grid.cell);
      const cell = Math.min(row, grid.height - 1) * grid.width + Math.min(column, grid.width - 1);
      const [dx, dy] = [velocity[2 * cell], velocity[2 * cell + 1]];
      const speed = Math.hypot(dx, dy);
      if (movingAt(maps, cell) < 0.3 || speed < STILL * quickest) continue;
      const half = (SHORTEST + (LONGEST - SHORTEST) * Math.min(1, Math.sqrt(speed / quickest))) / 2 / speed;
      drawArrow(context, [x - dx * half, y - dy * half], [x + dx * half, y + dy * half], {width: 2, start: false});
    }
  }
}

/** Of a side of the picture, `size` long from `from` on: every place of an arrow that can be seen on the stage. */
function places(from, size, stage) {
  const first = from + SPACING / 2;
  const begin = Math.max(0, Math.floor(-first / SPACING));
  const end = Math.ceil((Math.min(from + size, stage + SPACING) - first) / SPACING);
  return Array.from({length: Math.max(0, end - begin)}, (_, k) => first + (begin + k) * SPACING);
}

/** Of what moves; a few are quicker. */
function quickestOf(maps) {
  const speeds = [];
  for (let cell = 0; cell < maps.grid.width * maps.grid.height; cell += 7) {
    if (movingAt(maps, cell) >= 0.3) speeds.push(Math.hypot(maps.velocity[2 * cell], maps.velocity[2 * cell + 1]));
  }
  return speeds.sort((a, b) => a - b)[Math.floor(0.9 * speeds.length)] || 1;
}

function movingAt({layers}, cell) {
  return 1 - Object.values(layers).reduce((still, layer) => still * (1 - layer[cell] / 255), 1);
}

function tint(maps) {
  const {width, height} = maps.grid;
  const canvas = new OffscreenCanvas(width, height);
  const image = new ImageData(width, height);
  const classes = Object.entries(maps.layers).map(([name, layer]) => [layer, rgb(COLOURS[name])]);
  for (let cell = 0; cell < width * height; cell++) {
    const moving = movingAt(maps, cell);
    const sum = classes.reduce((all, [layer]) => all + layer[cell], 0) || 1;
    for (let channel = 0; channel < 3; channel++) {
      const colour = classes.reduce((all, [layer, colour]) => all + layer[cell] * colour[channel], 0) / sum;
      image.data[4 * cell + channel] = colour * moving;
    }
    image.data[4 * cell + 3] = 255 * (SHADE + (TINT - SHADE) * moving);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function rgb(hex) {
  return [1, 3, 5].map(at => parseInt(hex.slice(at, at + 2), 16));
}
