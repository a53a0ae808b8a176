// The state of the studio's page, and what follows from it.

import assert from "node:assert/strict";
import {beforeEach, test} from "node:test";

import * as page from "../../../stylecine/server/studio/state.js";

const {set, state} = page, FIRST = {...state};
const CLOTH = {kind: "paint", mode: "add", what: "cloth"}, FREEZE = {kind: "paint", mode: "freeze"};

beforeEach(() => set(FIRST));

test("watchers are called at once, and when a part that they watch has changed", () => {
  let calls = 0;
  page.watch(["tool", "factor"], () => calls++);
  set({factor: 3, tool: "paint"});
  assert.equal(calls, 2, "once for both");
  set({factor: 3, split: 0.5});
  assert.equal(calls, 2);
});

test("the history has the steps before, the current one and those undone, the nearest first", () => {
  const steps = [[], [CLOTH], [CLOTH, FREEZE], [FREEZE]].map(edits => ({edits, options: state.options}));
  set({past: steps.slice(0, 1), ...steps[1], future: [steps[3], steps[2]]});
  assert.deepEqual(page.history(), steps);
});

test("doubts are open until they are frozen or dismissed", () => {
  const doubts = [{...FREEZE}, {...FREEZE}, {...FREEZE}];
  assert.deepEqual(page.openDoubts(), []);
  set({doubts, edits: [doubts[0]], dismissed: [doubts[2]]});
  assert.deepEqual(page.openDoubts(), [doubts[1]]);
});

test("a wind blows if it was turned, and on painted cloth and in weather in any case", () => {
  assert.equal(page.isWindy(), false);
  for (const blowing of [{edits: [CLOTH]}, {options: {...state.options, weather: "snow"}}, {options: {...state.options, wind: [90, 0.4]}}]) {
    set({...FIRST, ...blowing});
    assert.equal(page.isWindy(), true);
  }
  assert.deepEqual(page.shownWind(), [90, 0.4]);
  set(FIRST);
  assert.equal(page.shownWind().length, 2, "the default one");
  assert.equal(page.hasCloth([{...CLOTH, mode: "erase"}, FREEZE]), false);
});

test("a loop is asked for with everything that can move, and without what is not chosen", () => {
  const asked = page.renderOptions({options: {pace: "calm", wind: null, weather: null, weather_strength: 0.5}});
  assert.deepEqual(asked, {pace: "calm", subject: "auto"});
  const stormy = page.renderOptions({options: {wind: [0, 1], weather: "rain", weather_strength: 0.7}});
  assert.deepEqual(stormy, {subject: "auto", wind: [0, 1], weather: "rain", weather_strength: 0.7});
});

test("edits are saved if they are the same ones", () => {
  set({phase: "ready", edits: [CLOTH, FREEZE], savedEdits: [CLOTH, FREEZE]});
  assert.equal(page.isDirty(), false);
  set({edits: [CLOTH, {...FREEZE}]});
  assert.equal(page.isDirty(), true);
});

test("files are named after the photo", () => {
  set({name: "beach.at.noon.jpeg"});
  assert.equal(page.fileName("mp4"), "beach.at.noon.mp4");
});
