// Maps of a loop, for what the studio draws over it.

import assert from "node:assert/strict";
import {test} from "node:test";

import {readMaps, turnedMaps} from "../../stylecine/player/maps.js";
import {overlayOf} from "./stand-ins.mjs";

function packOfBoth(shift) {
  const plants = overlayOf("plants", 0), cloth = overlayOf("cloth", 1, shift);
  const facts = {
    ...{margin: 2, cell: 4, grid: [1, 2], classes: ["sky", "cloth"], scales: {velocity: 0.5}},
    overlays: [plants.facts, cloth.facts],
  };
  const layers = {shape: [2, 1, 2], data: new Uint8Array([1, 2, 3, 4])};
  const velocity = {shape: [1, 2, 2], data: new Int16Array([2, 0, 0, -2])};
  return {facts, tensors: {...plants.tensors, ...cloth.tensors, layers, velocity}};
}

test("maps have the landscape's velocity, a layer for each class, and all overlays in their order", () => {
  const {facts, tensors} = packOfBoth(), maps = readMaps(facts, tensors);
  assert.deepEqual(maps.grid, {width: 2, height: 1, cell: 4, margin: 2});
  assert.deepEqual(maps.velocity, new Float32Array([1, 0, 0, -1]));
  assert.deepEqual(maps.layers, {sky: new Uint8Array([1, 2]), cloth: new Uint8Array([3, 4])});
  assert.equal(maps.moving, null);
  assert.deepEqual(maps.overlays.map(({kind}) => kind), ["plants", "cloth"]);
  assert.deepEqual(maps.overlays[1].grid, {width: 2, height: 2, cell: 4, margin: 0});
});

test("an overlay is carried against where it is read, on average over a gust", () => {
  const {facts, tensors} = packOfBoth(256), [, cloth] = readMaps(facts, tensors).overlays;
  assert.deepEqual([...cloth.displacement], [0, 0, -1, 0, 0, 0, -1, 0], "half of two pixels, in the second column");
});

test("another wind changes only what its pack has", () => {
  const {facts, tensors} = packOfBoth(-256), wind = {facts: {overlays: facts.overlays}, tensors: {}};
  assert.deepEqual(Object.keys(turnedMaps({facts, tensors}, wind)), ["overlays"]);
  assert.equal(turnedMaps({facts, tensors}, wind).overlays[1].displacement[2], 1);
  const clouds = {facts: {overlays: []}, tensors: {velocity: tensors.velocity}};
  assert.deepEqual(Object.keys(turnedMaps({facts, tensors}, clouds)), ["velocity"]);
});

test("without layers, as in pages, there are none", () => {
  const {facts, tensors: {layers, velocity, ...tensors}} = packOfBoth(), maps = readMaps(facts, tensors);
  assert.deepEqual(maps.layers, {});
  assert.ok(maps.velocity.every(value => value === 0), "nothing flows");
});

test("a style and weather change all of the picture", () => {
  const {facts, tensors} = packOfBoth();
  assert.equal(readMaps(facts, tensors).everywhere, false);
  assert.equal(readMaps({...facts, style: {}}, tensors).everywhere, true);
  assert.equal(readMaps({...facts, weather: {}}, tensors).everywhere, true);
});
