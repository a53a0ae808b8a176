// Maps of a loop, for overlays.

import {dequantize} from "./pack.js";

/** `Player.maps`: see docs/player.md. */
export function readMaps(facts, tensors) {
  const {margin, cell, grid: [height, width]} = facts.grid ? facts : {margin: 0, ...facts.cloth};
  const {velocity} = tensors;
  return {
    grid: {width, height, cell, margin},
    velocity: velocity ? dequantize(velocity.data, facts.scales.velocity) : new Float32Array(2 * width * height),
    layers: readLayers(facts.classes, width * height, tensors),
    moving: tensors.moving?.data ?? null,
  };
}

/** The layers on the grid, by class. */
function readLayers(classes, cells, {layers}) {
  if (!layers) return {};
  return Object.fromEntries(classes.map((name, k) => [name, layers.data.subarray(k * cells, (k + 1) * cells)]));
}
