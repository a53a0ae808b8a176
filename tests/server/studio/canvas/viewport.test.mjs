// Where the picture is on the stage.

import assert from "node:assert/strict";
import {beforeEach, test} from "node:test";

import {Viewport} from "../../../../stylecine/server/studio/canvas/viewport.js";

const near = (a, b) => a.forEach((value, axis) => assert.ok(Math.abs(value - b[axis]) < 1e-6, `${a} is not ${b}`));
let viewport;

beforeEach(() => {
  viewport = new Viewport();
  viewport.measure({width: 1000, height: 600, padding: 50}, {width: 400, height: 200});
});

test("a picture fits in the middle of the stage", () => {
  assert.deepEqual(viewport.place, {left: 50, top: 75, width: 900, height: 450});
  assert.equal(viewport.short, 450);
});

test("places go to the stage and back", () => {
  viewport.zoomAt(3, [200, 300]);
  for (const place of [[0, 0], [0.25, 0.75], [1, 1]]) near(viewport.toFraction(viewport.toStage(place)), place);
});

test("zooming keeps what is under the pointer there, up to a limit", () => {
  const pointer = [300, 250], under = viewport.toFraction(pointer);
  for (const factor of [2, 1.5, 0.8]) {
    viewport.zoomAt(factor, pointer);
    near(viewport.toFraction(pointer), under);
  }
  viewport.zoomAt(1000);
  assert.equal(viewport.zoom, 12);
  viewport.zoomAt(1e-3);
  assert.deepEqual([viewport.zoom, viewport.place.left], [1, 50], "a picture that fits is in the middle");
});

test("panning ends at the picture's border, as far from the stage's as when it fits", () => {
  viewport.zoomAt(4);
  viewport.pan(1e6, 1e6);
  assert.deepEqual([viewport.place.left, viewport.place.top].map(Math.round), [50, 50]);
  viewport.pan(-1e6, 0);
  assert.equal(Math.round(viewport.place.left + viewport.place.width), 950);
});

test("a place is revealed by no more than is needed", () => {
  viewport.zoomAt(4);
  const before = viewport.place;
  viewport.reveal([0.5, 0.5]);
  assert.deepEqual(viewport.place, before, "it is in sight");
  viewport.reveal([0.9, 0.5]);
  near(viewport.toStage([0.9, 0.5]), [960, 300]);
});
