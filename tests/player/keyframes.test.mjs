// Keyframes are stored for a part of the grid, as differences along rows.

import assert from "node:assert/strict";
import {test} from "node:test";

import {decodeKeyframes} from "../../stylecine/player/keyframes.js";

test("differences are summed along rows and put where they belong, around them and at first nothing moves", () => {
  const data = new Int16Array([
    ...[128, 128, -128, 0],  // x: 1, 2 pixels in the first row, -1, -1 in the second
    ...[0, 256, 0, 0],  // y
    ...[1024, 0, 0, -2048],  // the logarithm of the gain
  ]);
  const overlay = {grid: [3, 3], at: [1, 1], steps: [1 / 128, 1 / 1024]};
  const keyframes = decodeKeyframes({shape: [1, 3, 2, 2], data}, overlay);
  assert.equal(keyframes.length, 2 * 9 * 4);
  assert.ok(keyframes.subarray(0, 36).every(value => value === 0), "the first keyframe is the photo");
  const at = (row, column) => [...keyframes.subarray(36 + 4 * (3 * row + column)).subarray(0, 4)];
  assert.deepEqual(at(1, 1), [1, 0, 1, 0]);
  assert.deepEqual(at(1, 2), [2, 2, 1, 0]);
  assert.deepEqual(at(2, 1), [-1, 0, 0, 0]);
  assert.deepEqual(at(2, 2), [-1, 0, -2, 0]);
  for (const [row, column] of [[0, 0], [0, 2], [1, 0], [2, 0]]) assert.deepEqual(at(row, column), [0, 0, 0, 0]);
});

test("sums wrap around as they were stored", () => {
  const data = new Int16Array([30000, 5536, 0, 0, 0, 0]);  // 35536 - 65536 = -30000
  const keyframes = decodeKeyframes({shape: [1, 3, 1, 2], data}, {grid: [1, 2], at: [0, 0], steps: [1, 1]});
  assert.deepEqual([keyframes[8], keyframes[12]], [30000, -30000]);
});
