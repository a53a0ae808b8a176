// How the sound of a page begins, ends and goes round, with a stand-in for Web Audio.

import assert from "node:assert/strict";
import {beforeEach, test} from "node:test";

import {Sound} from "../../stylecine/player/sound.js";

let played = [], contexts = 0;

class Param { setTargetAtTime(value, time) { this.target = {value, time}; } }

beforeEach(() => {
  played = [];
  contexts = 0;
  globalThis.AudioContext = class {
    currentTime = 5;
    destination = {};
    constructor(options) {
      assert.equal(options.sampleRate, 48000, "samples are played as they are");
      contexts++;
    }
    resume() {}
    async decodeAudioData() { return {duration: 8}; }
  };
  globalThis.GainNode = class { gain = new Param(); connect(next) { return next; } };
  globalThis.AudioBufferSourceNode = class {
    constructor(context, options) { Object.assign(this, options); played.push(this); }
    connect(gain) { this.volume = gain.gain; return gain; }
    start(when, offset) { Object.assign(this, {when, offset}); }
    stop(when) { this.stopped = when; }
  };
});

test("it goes round from the time of the picture", async () => {
  await new Sound(new ArrayBuffer(4)).start(2.5);
  const [source] = played;
  assert.equal(source.loop, true);
  assert.equal(source.when, 0);
  assert.ok(source.offset >= 2.5 && source.offset < 3);
  assert.equal(source.volume.target.value, 1);
});

test("a time beyond its end is one within it", async () => {
  await new Sound(new ArrayBuffer(4)).start(17);
  assert.ok(played[0].offset >= 1 && played[0].offset < 1.5);
});

test("it fades out when it is stopped, and is decoded once", async () => {
  const sound = new Sound(new ArrayBuffer(4));
  sound.stop();
  await sound.start(0);
  sound.stop();
  assert.equal(played[0].volume.target.value, 0);
  assert.ok(played[0].stopped > 5 && played[0].stopped < 5.1);
  await sound.start(1);
  assert.equal(played.length, 2);
  assert.equal(contexts, 1);
});

test("a start that was stopped while it decoded stays silent", async () => {
  const sound = new Sound(new ArrayBuffer(4)), starting = sound.start(0);
  sound.stop();
  await starting;
  assert.equal(played.length, 0);
});

test("it plays once, however often it is started", async () => {
  const sound = new Sound(new ArrayBuffer(4));
  await Promise.all([sound.start(0), sound.start(1)]);
  await sound.start(2);
  assert.equal(played.filter(({stopped}) => stopped === undefined).length, 1);
});
