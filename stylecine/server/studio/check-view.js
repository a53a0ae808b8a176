// "Check this edge": what the mask is unsure of, one place at a time, to be frozen, to be set in motion, or dismissed.

import * as api from "./api.js";
import {$} from "./dom.js";
import {announce, hideNotice, showHint} from "./notifications.js";
import {addEdit, isSyncing} from "./session.js";
import {openDoubts, set, state, watch} from "./state.js";

const IDLE = 1500;  // ms without other work until the server is asked, which takes it about a second
let timer = 0;

export function initCheck() {
  $("check").addEventListener("click", toggleCheck);
  $("check-freeze").addEventListener("click", () => settle("Frozen", addEdit));
  $("check-move").addEventListener("click", () => settle("It moves", addEdit));
  $("check-dismiss").addEventListener("click", () => {
    settle("Dismissed", doubt => set({dismissed: [...state.dismissed, doubt]}));
  });
  $("check-next").addEventListener("click", () => set({checked: (state.checked + 1) % openDoubts().length}));
  $("check-close").addEventListener("click", closeCheck);
  watch(["phase", "scene", "maps"], askWhenIdle);
  watch(["doubts", "dismissed", "edits", "checking", "checked"], show);
}

/** False if there is nothing to check. */
export function toggleCheck() {
  if (!openDoubts().length) return false;
  hideNotice();
  set({checking: !state.checking, seam: false});
}

function askWhenIdle() {
  clearTimeout(timer);
  if (state.phase === "ready" && state.maps && !state.doubts) timer = setTimeout(ask, IDLE);
}

async function ask() {
  if (state.phase !== "ready" || isSyncing()) return askWhenIdle();
  const {id} = state.scene;
  set({doubts: [], checked: 0});
  const found = await api.readDoubts(id).catch(() => []);  // it is only a hint
  if (!found.length || state.scene?.id !== id) return;
  set({doubts: found.map(({stroke, radius, what}) => ({kind: "paint", what, mode: what ? "add" : "freeze", stroke, radius}))});
  const count = found.length > 1 ? `${found.length} places` : "one place";
  if (!$("notice").hidden || state.seam || state.tool !== "view") return;  // who draws has the button
  showHint(`The mask is unsure of ${count}.`, {label: "Check", run: toggleCheck});
}

/** Freezes, sets in motion or dismisses the place that is shown, and goes on to the next one. */
function settle(done, act) {
  act(openDoubts()[state.checked]);
  const left = openDoubts().length;
  announce(left ? `${done}. ${left} left to check` : `${done}. Everything is checked`);
}

function show() {
  const open = openDoubts();
  if (state.checking && !open.length) return closeCheck();
  if (state.checked >= Math.max(1, open.length)) return set({checked: 0});
  $("check").hidden = !open.length;
  $("check").setAttribute("aria-pressed", String(state.checking));
  $("check-strip").hidden = !state.checking;
  $("check-next").hidden = open.length < 2;
  const place = open[state.checked];
  if (!place) return;
  $("check-where").textContent = `${state.checked + 1} of ${open.length}, ${where(place)}.`;
  $("check-why").textContent = place.what ? `It stands still, but may be ${place.what}.` : "It moves, but may be part of what stands still.";
  $("check-freeze").hidden = Boolean(place.what);
  $("check-move").hidden = !place.what;
}

/** Where in the picture an edit's stroke is. */
function where({stroke}) {
  const [x, y] = [0, 1].map(axis => stroke.reduce((sum, point) => sum + point[axis], 0) / stroke.length);
  const third = (value, names) => names[Math.min(2, Math.floor(3 * value))];
  return `${third(y, ["top", "middle", "bottom"])} ${third(x, ["left", "centre", "right"])}`;
}

/** False if it is not open. */
export function closeCheck() {
  if (!state.checking) return false;
  const focused = $("check-strip").contains(document.activeElement);
  set({checking: false});
  if (focused) ($("check").hidden ? $("overlay") : $("check")).focus();
  return true;
}
