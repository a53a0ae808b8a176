// The plate's textures and images are freed, whatever fails.

import assert from "node:assert/strict";
import {test} from "node:test";

import {Plate} from "../../stylecine/player/plate.js";
import {standInGl, standInImages, standInPrograms} from "./stand-ins.mjs";

const PACK = {
  facts: {plate_digest: "a", picture: "image/png", margin: 0, bands: 2},
  tensors: {plate: {data: new Uint8Array(1)}},
  photo: {},
};

test("of a plate only the photo, the splines of its levels and the light are left", async () => {
  const gl = standInGl(), open = standInImages();
  const plate = await Plate.create(gl, standInPrograms(), PACK);
  assert.equal(plate.splines.length, 3);
  assert.equal(gl.alive.size, 2 + 2 * 3, "two textures, and one with a framebuffer for each spline");
  assert.equal(open.size, 0);
  plate.dispose();
  assert.equal(gl.alive.size, 0);
});

test("an image that cannot be read leaves neither images nor textures", async () => {
  const gl = standInGl(), open = standInImages({fails: 2});
  await assert.rejects(Plate.create(gl, standInPrograms(), PACK), {name: "PlayerError"});
  assert.deepEqual([gl.alive.size, open.size], [0, 0]);
});

test("a texture that fails leaves neither images nor textures", async () => {
  for (const fails of [1, 2]) {
    const gl = standInGl({fails}), open = standInImages();
    await assert.rejects(Plate.create(gl, standInPrograms(), PACK), /no memory/);
    assert.deepEqual([gl.alive.size, open.size], [0, 0]);
  }
});
