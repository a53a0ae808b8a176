// Maps of a loop, for overlays.

import {decodeKeyframes} from "./keyframes.js";
import {dequantize, ofOverlay} from "./pack.js";

/** `Player.maps`: see docs/player.md. */
export function readMaps(facts, tensors) {
  const {margin, cell, grid: [height, width]} = facts, {velocity} = tensors;
  return {
    grid: {width, height, cell, margin},
    velocity: velocity ? dequantize(velocity.data, facts.scales.velocity) : new Float32Array(2 * width * height),
    layers: readLayers(facts.classes, width * height, tensors),
    moving: tensors.moving?.data ?? null,
    overlays: overlayMaps({facts, tensors}),
    everywhere: Boolean(facts.style || facts.weather),
  };
}

/** What another wind changes in them: `wind` is its pack, the first argument the loop's, in this wind. */
export function turnedMaps({facts, tensors}, wind) {
  return {
    ...(wind.tensors.velocity && {velocity: dequantize(tensors.velocity.data, facts.scales.velocity)}),
    ...(wind.facts.overlays.length && {overlays: overlayMaps({facts, tensors})}),
  };
}

/** Where the wind carries each: {kind, grid, displacement}, the mean over a gust in pixels, computed when asked for. */
function overlayMaps({facts, tensors}) {
  return facts.overlays.map((overlay, i) => {
    const {kind, cell, grid: [height, width]} = overlay, {keyframes} = ofOverlay(tensors, i);
    let means = null;
    return {
      kind,
      grid: {width, height, cell, margin: 0},
      get displacement() { return means ??= meanDisplacement(decodeKeyframes(keyframes, overlay), width * height); },
    };
  });
}

/** Keyframes say where to read the overlay, hence the minus. */
function meanDisplacement(keyframes, cells) {
  const means = new Float32Array(2 * cells), count = keyframes.length / (4 * cells);
  for (let k = 0; k < count; k++)
    for (let cell = 0; cell < cells; cell++) {
      means[2 * cell] -= keyframes[4 * (k * cells + cell)] / count;
      means[2 * cell + 1] -= keyframes[4 * (k * cells + cell) + 1] / count;
    }
  return means;
}

/** The layers on the grid, by class. */
function readLayers(classes, cells, {layers}) {
  if (!layers) return {};
  return Object.fromEntries(classes.map((name, k) => [name, layers.data.subarray(k * cells, (k + 1) * cells)]));
}
