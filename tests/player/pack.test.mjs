// What a pack says is what was written into it.

import assert from "node:assert/strict";
import {test} from "node:test";

import {decodeAll, decodeImages, dequantize, ofOverlay, readPack} from "../../stylecine/player/pack.js";
import {packOf, standInImages} from "./stand-ins.mjs";

test("a pack has its facts, and arrays of their types", () => {
  const moving = {shape: [1, 3], data: new Uint8Array([0, 7, 255])};
  const velocity = {shape: [1, 1, 2], data: new Int16Array([-300, 300])};
  const paths = {shape: [1], data: new Float32Array([0.5])};
  const {facts, tensors} = readPack(packOf({period: 60}, {paths, velocity, moving}));
  assert.equal(facts.period, 60);
  assert.deepEqual(tensors, {moving, velocity, paths});
});

test("what is no pack, or one of another version, is refused in a sentence", () => {
  for (const buffer of [new ArrayBuffer(4), new Uint8Array([2, 0, 0, 0, 0, 0, 0, 0, 123, 125]).buffer]) {
    assert.throws(() => readPack(buffer), {name: "PlayerError", message: "This is not a loop made by stylecine."});
  }
  for (const format of [8, 10]) {
    assert.throws(() => readPack(packOf({format})), {name: "PlayerError", message: /another version of stylecine/});
  }
});

test("an overlay's own arrays have their plain names", () => {
  const named = {photo: 0, "overlays.1.matte": 1, "overlays.10.matte": 2, "overlays.1.active": 3};
  assert.deepEqual(ofOverlay(named, 1), {matte: 1, active: 3});
  assert.deepEqual(ofOverlay(named, 2), {});
});

test("integers are floats again", () => {
  assert.deepEqual(dequantize(new Int16Array([-4, 0, 3]), 0.25), new Float32Array([-1, 0, 0.75]));
});

test("the images of overlays and weather are decoded, and no other array", async () => {
  standInImages();
  const bytes = {data: new Uint8Array(1)};
  const tensors = {photo: bytes, "overlays.0.background": bytes, "overlays.0.active": bytes, distance: bytes};
  const images = await decodeImages({facts: {picture: "image/webp"}, tensors});
  assert.deepEqual(Object.keys(images), ["overlays.0.background", "distance"]);
});

test("if one image cannot be read, none stays open", async () => {
  for (const fails of [1, 2, 3]) {
    const open = standInImages({fails});
    await assert.rejects(decodeAll([1, 2, 3]), {name: "PlayerError", message: "The images of this loop cannot be read."});
    assert.equal(open.size, 0);
  }
});
