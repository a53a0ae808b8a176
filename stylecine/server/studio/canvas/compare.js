// Before and after: a divider to drag, or the whole photo while a key or button is held.

import {$} from "../dom.js";
import {photoOf} from "../api.js";
import {set, state, watch} from "../state.js";

const STEP = 0.02;
let view = null;

export function beginCompare() {
  const {divider, hold} = {divider: $("divider"), hold: $("hold-before")};
  $("split").addEventListener("click", toggleSplit);
  divider.addEventListener("pointerdown", event => divider.setPointerCapture(event.pointerId));
  divider.addEventListener("pointermove", event => {
    if (divider.hasPointerCapture(event.pointerId)) moveTo(event.clientX - $("stage").getBoundingClientRect().left);
  });
  divider.addEventListener("keydown", key);
  hold.addEventListener("pointerdown", event => { hold.setPointerCapture(event.pointerId); showBefore(true); });
  for (const name of ["pointerup", "pointercancel", "blur"]) hold.addEventListener(name, () => showBefore(false));
  hold.addEventListener("click", event => { if (!event.detail) showBefore(!state.before); });  // by a key or a screen reader
  watch(["split", "before", "scene"], show);
}

export function toggleSplit() {
  set({split: state.split === null ? 0.5 : null});
}

export function showBefore(before) {
  set({before});
}

/** Follows the picture's place. */
export function placeDivider(itsView) {
  view = itsView;
  if (state.split === null) return;
  const {left, top, width, height} = view.place;
  const stage = $("stage");
  const [above, below] = [Math.max(0, top), Math.min(stage.clientHeight, top + height)];
  const x = left + state.split * width;
  Object.assign($("divider").style, {left: `${x}px`, top: `${above}px`, height: `${below - above}px`});
  for (const [id, shift] of [["tag-before", "calc(-100% - 34px)"], ["tag-after", "34px"]]) {
    Object.assign($(id).style, {left: `${x}px`, top: `${above + 14}px`, transform: `translateX(${shift})`});
  }
}

function show() {
  const {scene, split, before} = state;
  const image = $("before");
  const wanted = scene && (split !== null || before);
  if (wanted && image.dataset.scene !== scene.id) {
    image.dataset.scene = scene.id;
    image.src = photoOf(scene.id);
  }
  image.hidden = !wanted;
  image.style.clipPath = before || split === null ? "none" : `inset(0 ${100 * (1 - split)}% 0 0)`;
  for (const id of ["divider", "tag-before", "tag-after"]) $(id).hidden = split === null || before || !scene;
  $("split").setAttribute("aria-pressed", String(split !== null));
  $("hold-before").setAttribute("aria-pressed", String(before));
  const share = Math.round(100 * (split ?? 0.5));
  $("divider").setAttribute("aria-valuenow", String(share));
  $("divider").setAttribute("aria-valuetext", `${share} percent before`);
  if (view) placeDivider(view);
}

function moveTo(x) {
  const {left, width} = view.place;
  split((x - left) / width);
}

function split(share) {
  set({split: Math.min(1, Math.max(0, share))});
}

function key(event) {
  const to = {
    ...{ArrowLeft: state.split - STEP, ArrowDown: state.split - STEP},
    ...{ArrowRight: state.split + STEP, ArrowUp: state.split + STEP},
    ...{PageDown: state.split - 0.1, PageUp: state.split + 0.1, Home: 0, End: 1},
  }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  event.stopPropagation();
  split(to);
}
