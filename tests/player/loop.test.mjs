// The order in which the parts of a frame are drawn.

import assert from "node:assert/strict";
import {test} from "node:test";

import {Loop} from "../../stylecine/player/loop.js";
import {overlayOf, standInGl, standInPrograms} from "./stand-ins.mjs";

function loopOf(overlays) {
  const drawn = [], gl = standInGl(), parts = overlays.map((kind, i) => overlayOf(kind, i));
  const pack = {
    facts: {width: 8, height: 8, period: 60, overlays: parts.map(({facts}) => facts)},
    tensors: Object.assign({}, ...parts.map(({tensors}) => tensors)),
  };
  return {gl, drawn, loop: new Loop(gl, standInPrograms(drawn), {photo: "photo", dispose() {}}, {}, pack), pack};
}

test("overlays are drawn one over the other, the first over the photo and the last into the canvas", () => {
  const {drawn, loop} = loopOf(["plants", "cloth"]);
  loop.draw(20);
  const [photo, plants, cloth] = drawn.filter(({name}) => ["PHOTO", "OVERLAY"].includes(name));
  assert.deepEqual([photo, plants, cloth].map(({name}) => name), ["PHOTO", "OVERLAY", "OVERLAY"]);
  assert.equal(plants.values.frame, photo.target);
  assert.equal(cloth.values.frame, plants.target);
  assert.equal(cloth.target, null);
  drawn.length = 0;
  loop.draw(21);
  assert.ok(!drawn.some(({name}) => name === "PHOTO"), "which is the same under all frames");
});

test("frame 0 is the photo, whatever is over it", () => {
  const {drawn, loop} = loopOf(["plants", "cloth"]);
  loop.draw(0);
  assert.deepEqual(drawn.map(({name, target}) => [name, target]), [["PHOTO", null]]);
});

test("a loop frees all that it made", () => {
  const {gl, loop} = loopOf(["plants", "cloth"]);
  assert.ok(gl.alive.size > 0);
  loop.dispose();
  assert.equal(gl.alive.size, 0);
});
