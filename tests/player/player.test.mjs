// Time and loading, without a screen; tests/player/test_player.py sees what is drawn.

import assert from "node:assert/strict";
import {beforeEach, test} from "node:test";

import {Player} from "../../stylecine/player/player.js";
import {overlayOf, packOf, standInGl, standInImages} from "./stand-ins.mjs";

globalThis.document = {addEventListener() {}, timeline: {currentTime: 0}};
let ticks = [];
globalThis.requestAnimationFrame = callback => ticks.push(callback);
globalThis.cancelAnimationFrame = () => { ticks = []; };

function tick(now) {
  const callbacks = ticks;
  ticks = [];
  for (const callback of callbacks) callback(now);
}

const PHOTO = {photo: {shape: [1], data: new Uint8Array(1)}};
const FACTS = {width: 8, height: 4, fps: 20, margin: 0, cell: 8, grid: [1, 1], classes: [], plate_digest: "a", picture: "image/png"};

function loopOf(period, kinds) {
  const parts = kinds.map((kind, i) => overlayOf(kind, i));
  const tensors = Object.assign({...PHOTO}, ...parts.map(part => part.tensors));
  return packOf({...FACTS, period, overlays: parts.map(({facts}) => facts)}, tensors);
}

function windOf(kinds) {
  const parts = kinds.map((kind, i) => overlayOf(kind, i, -256));
  return packOf({overlays: parts.map(({facts}) => facts)}, Object.assign({}, ...parts.map(part => part.tensors)));
}

let player;

beforeEach(async () => {
  standInImages();
  player = await Player.create({getContext: () => standInGl(), addEventListener() {}});
});

test("any time is one within the loop, and a new loop goes on at the same phase", async () => {
  await player.load(loopOf(60, ["cloth"]));
  const shown = [];
  player.onframe = t => shown.push(t);
  for (const t of [7.5, 60, -52.5, 600.25]) player.render(t);
  assert.deepEqual(shown, [7.5, 0, 7.5, 0.25]);
  player.seek(45);
  await player.load(loopOf(20, ["cloth"]));
  assert.deepEqual([player.time, player.period], [15, 20]);
});

test("it plays by the display's clock, at its rate, and draws no more often than the interval", async () => {
  await player.load(loopOf(60, ["cloth"]));
  const shown = [];
  player.onframe = t => shown.push(t);
  player.rate = 0.5;
  player.play();
  for (const now of [1000, 1100, 1200]) tick(now);
  assert.deepEqual(shown.map(t => Math.round(1e6 * t) / 1e6), [0, 1, 2], "a frame in 50 ms, at half the speed");
  player.interval = 250;
  for (const now of [1300, 1400, 1500]) tick(now);
  assert.equal(shown.length, 4);
  player.pause();
  tick(1600);
  assert.ok(shown.length === 4 && !player.playing);
});

test("a wind turns all overlays of the loop, and keeps the time", async () => {
  await player.load(loopOf(60, ["plants", "cloth"]));
  player.seek(20);
  const before = player.maps.overlays[1].displacement[2];
  player.loadWind(windOf(["plants", "cloth"]));
  assert.equal(player.time, 20);
  assert.deepEqual([before, player.maps.overlays[1].displacement[2]], [-1, 1]);
});

test("the wind of another loop is refused", async () => {
  const refused = {name: "PlayerError", message: "This wind is not of this loop."};
  assert.throws(() => player.loadWind(windOf(["cloth"])), refused, "nothing is loaded");
  await player.load(loopOf(60, ["plants", "cloth"]));
  const velocity = packOf({}, {velocity: {shape: [1, 1, 2], data: new Int16Array(2)}});
  for (const wind of [windOf(["cloth"]), windOf(["cloth", "plants"]), windOf([]), velocity]) {
    assert.throws(() => player.loadWind(wind), refused);
  }
});

test("a loop that is refused leaves the one before", async () => {
  await player.load(loopOf(60, ["cloth"]));
  await assert.rejects(player.load(new ArrayBuffer(4)), {name: "PlayerError"});
  const large = packOf({...FACTS, period: 9, width: 5000}, PHOTO);
  await assert.rejects(player.load(large), {message: /textures of 5000 pixels a side, and this device has only 4096/});
  assert.deepEqual([player.period, player.width], [60, 8]);
});
