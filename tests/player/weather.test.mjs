// Where drops and flakes are, and how thick the fog is, at a time; tests/player/test_player.py compares frames.

import assert from "node:assert/strict";
import {test} from "node:test";

import {Weather} from "../../stylecine/player/weather.js";
import {standInGl, standInPrograms} from "./stand-ins.mjs";

const FALLING = {link: 0, cycles: 2, phase: 0, start: 10, way: 0, top: -10, fall: 120, sway: 0, turns: 0, lag: 0, radius: 2, opacity: 0.5};

/** What is drawn of paths in a frame of 100 x 100 pixels at a time of a loop of 60 frames, and the fog's opacity there. */
function weatherAt(t, paths, {waves = [0], cycles = []} = {}) {
  const gl = standInGl(), weather = {grid: [1, 1], step: 1, cycles, exposure: 0.5, colours: {veil: [[0], [0]], falling: [[0], [0]]}};
  const tensors = {
    paths: {shape: [paths.length, 12], data: new Float32Array(paths.flatMap(path => Object.values({...FALLING, ...path})))},
    waves: {data: new Int16Array(waves)},
  };
  const shown = new Weather(gl, standInPrograms(), {width: 100, height: 100, period: 60, weather}, tensors, null);
  gl.written.length = 0;
  shown.draw(t, 0, {mip: 0, width: 100, rows: 100});
  const [veil, streaks] = gl.written;
  const drops = Array.from({length: streaks.length / 7}, (_, k) => [...streaks.subarray(7 * k, 7 * k + 7)]);
  return {fog: veil[0], drops};
}

test("a drop falls evenly, and once for each of its cycles", () => {
  const heights = [0, 7.5, 15, 22.5].map(t => weatherAt(t, [{}]).drops[0]?.[1]);
  assert.deepEqual(heights, [-10, 20, 50, 80].map(y => (y < -3 ? undefined : y)), "above the frame it is not drawn");
  for (const t of [8, 20]) assert.deepEqual(weatherAt(t + 30, [{}]), weatherAt(t, [{}]));
  assert.deepEqual(weatherAt(0, [{phase: 0.5}]), weatherAt(60, [{phase: 0.5}]), "over the seam, too");
});

test("a streak is as long as the way in the time of an exposure", () => {
  const [[x, y, dx, dy, radius, opacity]] = weatherAt(15, [{way: 30}]).drops;
  assert.deepEqual([x, y, dx, dy, radius, opacity], [25, 50, -0.5, -2, 2, 0.5]);  // half a frame of 1 and 4 pixels
});

test("what the wind carries out on one side comes in on the other", () => {
  const [[x]] = weatherAt(15, [{start: 100, way: 40}]).drops;
  assert.equal(x, 120 - 120, "the frame and a margin of 10 pixels on both sides is 120 wide");
});

test("a flake sways around its way", () => {
  const flake = {sway: 5, turns: 2};
  const [x0, x1] = [7.5, 11.25].map(t => weatherAt(t, [flake]).drops[0][0]);  // a half and three quarters of a turn
  assert.ok(Math.abs(x0 - 10) < 1e-4 && Math.abs(x1 - 5) < 1e-4);
});

test("fog thickens and thins, within 0 and 1", () => {
  const drifting = {waves: [0, 2, 0], cycles: [1]};
  const opacities = [0, 10, 15, 30].map(t => weatherAt(t, [], drifting).fog);
  [1, 1, 0, 0].forEach((wanted, k) => assert.ok(Math.abs(opacities[k] - wanted) < 1e-6));
});
