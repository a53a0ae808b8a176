// What is known of a loop, to be drawn over it.

import {scaled} from "./pack.js";

/** docs/player.md. */
export function mapsOf(facts, tensors) {
  const {margin, cell, grid: [height, width]} = facts.grid ? facts : {margin: 0, ...facts.cloth};
  return {
    grid: {width, height, cell, margin},
    velocity: tensors.velocity ? scaled(tensors.velocity.data, facts.scales.velocity) : new Float32Array(2 * width * height),
    layers: layersOf(facts.classes, width * height, tensors),
    moving: tensors.moving?.data ?? null,
  };
}

/** The classes' maps on the grid, by name. */
function layersOf(classes, places, {layers}) {
  if (!layers) return {};
  return Object.fromEntries(classes.map((name, k) => [name, layers.data.subarray(k * places, (k + 1) * places)]));
}
