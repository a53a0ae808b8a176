// How keyframes are mixed in the course of a loop; tests/player/test_player.py compares frames with the engine's.

import assert from "node:assert/strict";
import {test} from "node:test";

import {Overlay} from "../../stylecine/player/overlay.js";
import {ofOverlay} from "../../stylecine/player/pack.js";
import {overlayOf, standInGl, standInPrograms} from "./stand-ins.mjs";

const SIZE = {mip: 0, width: 8, rows: 8};

/** The weights of the keyframes at some times of a loop of 60 frames. */
function weightsAt(times, gusts) {
  const drawn = [], {facts, tensors} = overlayOf("cloth", 0), keyframes = {shape: [3, 3, 2, 1], data: new Int16Array(18)};
  const own = {...ofOverlay(tensors, 0), keyframes};
  const overlay = new Overlay(standInGl(), standInPrograms(drawn), {width: 8, height: 8, period: 60}, {...facts, ...gusts}, own, {});
  for (const t of times) overlay.draw(t, null, null, null, SIZE);
  return drawn.filter(({name}) => name === "OVERLAY_FIELD").map(({values}) => values.weights.slice(0, 4));
}

const sum = weights => weights.reduce((total, weight) => total + weight, 0);

test("at its own time a keyframe alone counts, in every gust", () => {
  assert.deepEqual(weightsAt([0, 7.5, 15, 30, 37.5], {cycles: 2}), [
    ...[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0]],
  ]);
});

test("between keyframes their weights add up to 1", () => {
  for (const weights of weightsAt([1, 11.3, 29.9, 59], {cycles: 3})) assert.ok(Math.abs(sum(weights) - 1) < 1e-6);
});

test("gusts are first stronger, then weaker, and none at the seam", () => {
  const [begin, strong, weak] = weightsAt([0, 15, 45], {cycles: 2, gustiness: 0.2}).map(sum);
  assert.ok(begin === 1 && Math.abs(strong - 1.2) < 1e-6 && Math.abs(weak - 0.8) < 1e-6);
});
