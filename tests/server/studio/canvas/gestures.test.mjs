// From a gesture to an edit.

import assert from "node:assert/strict";
import {beforeEach, test} from "node:test";

import {continueGesture, startGesture, toEdit, wayOf} from "../../../../stylecine/server/studio/canvas/gestures.js";
import {set, state} from "../../../../stylecine/server/studio/state.js";

const FIRST = {...state};
beforeEach(() => set(FIRST));

/** The edit of a gesture through some points of a square picture. */
function edit(points, aspect = 1) {
  const gesture = startGesture(points[0], aspect);
  if (!gesture) return null;
  for (const point of points.slice(1)) continueGesture(gesture, point);
  return toEdit(gesture);
}

test("a brush gives a stroke of points that are not too close, and what is painted", () => {
  set({tool: "paint", paintClass: "sky", radii: {...state.radii, paint: 0.1}});
  const {stroke, radius, kind, mode, what} = edit([[0.2, 0.2], [0.21, 0.2], [0.3, 0.2], [0.3000001, 0.4]]);
  assert.deepEqual([kind, mode, what, radius], ["paint", "add", "sky", 0.1]);
  assert.deepEqual(stroke, [[0.2, 0.2], [0.3, 0.2], [0.3, 0.4]]);
});

test("a stroke beside the picture is none", () => {
  set({tool: "erase"});
  assert.equal(edit([[-0.2, 0.5], [-0.2, 0.6]]), null);
  assert.notEqual(edit([[-0.01, 0.5]]), null, "its brush reaches into the picture");
});

test("an arrow has its ends, and bends where its way does", () => {
  set({tool: "push"});
  assert.deepEqual(edit([[0.1, 0.5], [0.3, 0.501], [0.6, 0.5]]).arrow, [0.1, 0.5, 0.6, 0.5]);
  const bent = edit([[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]]).arrow;
  assert.equal(bent.length, 6);
  assert.ok(Math.hypot(bent[2] - 0.5, bent[3] - 0.1) < 0.03);
  assert.equal(edit([[0.1, 0.5], [0.105, 0.5]]), null, "too short to be meant");
});

test("an arrow drawn back on its way is shorter", () => {
  set({tool: "push"});
  const gesture = startGesture([0.1, 0.5], 1);
  for (const x of [0.8, 0.4]) continueGesture(gesture, [x, 0.5]);
  const [from, to] = wayOf(gesture);
  assert.ok(from[0] === 0.1 && Math.abs(to[0] - 0.4) < 1e-9 && wayOf(gesture).length === 2);
});

test("an anchor calms around a point, as far as it is dragged, in short sides of the picture", () => {
  set({tool: "anchor"});
  assert.deepEqual(edit([[0.5, 0.5]]), {kind: "anchor", point: [0.5, 0.5], radius: 0.12});
  assert.equal(edit([[0.5, 0.5], [0.6, 0.5]], 2).radius, 0.2);
  assert.equal(edit([[0.5, 0.5], [1, 1]]).radius, 0.6);
});

test("arrows and anchors begin in the picture or just beside it", () => {
  for (const tool of ["push", "anchor"]) {
    set({tool});
    assert.equal(startGesture([-0.1, 0.5], 1), null);
    assert.notEqual(startGesture([-0.03, 0.5], 1), null);
  }
});
