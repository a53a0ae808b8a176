// How much of a style is shown.

import assert from "node:assert/strict";
import {test} from "node:test";

import {Style} from "../../stylecine/player/style.js";
import {standInGl} from "./stand-ins.mjs";

function styleOf(strength, drift) {
  const facts = {width: 8, height: 8, style: {depth: 1, grid: [1, 1], step: 1, strength, drift}};
  return new Style(standInGl(), {}, facts, {style: {data: new Int16Array(12)}});
}

test("a style stays, or drifts from the photo's own colours and back", () => {
  assert.equal(styleOf(0.8, false).share(0.3, null), 1);
  const shares = [0, 0.25, 0.5, 1].map(phase => styleOf(0.8, true).share(phase, null));
  for (const [share, wanted] of [[shares[0], 0], [shares[1], 0.5], [shares[2], 1], [shares[3], 0]]) {
    assert.ok(Math.abs(share - wanted) < 1e-9);
  }
});

test("another strength is relative to the pack's own", () => {
  assert.equal(styleOf(0.8, false).share(0, 0.4), 0.5);
  assert.equal(styleOf(0.8, false).share(0, 0), 0);
});
