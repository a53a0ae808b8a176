// Settings last, as far as the browser lets them.

import assert from "node:assert/strict";
import {afterEach, test} from "node:test";

import {loadSetting, storeSetting} from "../../../stylecine/server/studio/storage.js";

const blocked = {get() { throw new Error("blocked"); }, configurable: true};
afterEach(() => { delete globalThis.localStorage; });

test("settings are stored, and removed by null", () => {
  const stored = new Map();
  const localStorage = {
    getItem: key => stored.get(key) ?? null, setItem: (key, value) => stored.set(key, value), removeItem: key => stored.delete(key),
  };
  Object.defineProperty(globalThis, "localStorage", {value: localStorage, configurable: true});
  storeSetting("theme", "dark");
  assert.equal(loadSetting("theme"), "dark");
  storeSetting("theme", null);
  assert.ok(loadSetting("theme") === null && stored.size === 0);
});

test("where storage is blocked they last as long as the page", () => {
  Object.defineProperty(globalThis, "localStorage", blocked);
  assert.equal(loadSetting("hints"), null);
  storeSetting("hints", "seen");
  assert.equal(loadSetting("hints"), "seen");
});
