// Before and after: a divider to drag, or the original photo while a key or button is held.

import {$, clamp} from "../dom.js";
import {set, state, watch} from "../state.js";

const STEP = 0.02;
let viewport = null;

export function initCompare() {
  const [divider, hold] = [$("divider"), $("hold-before")];
  $("compare").addEventListener("click", toggleSplit);
  divider.addEventListener("pointerdown", event => divider.setPointerCapture(event.pointerId));
  divider.addEventListener("pointermove", event => {
    if (!divider.hasPointerCapture(event.pointerId)) return;
    const {left, width} = viewport.place;
    setSplit((event.clientX - $("stage").getBoundingClientRect().left - left) / width);
  });
  divider.addEventListener("keydown", handleKey);
  hold.addEventListener("pointerdown", event => { hold.setPointerCapture(event.pointerId); showBefore(true); });
  for (const name of ["pointerup", "pointercancel", "blur"]) hold.addEventListener(name, () => showBefore(false));
  hold.addEventListener("click", event => {
    if (!event.detail) showBefore(!state.before);  // by key or screen reader
  });
  watch(["split", "before", "scene"], show);
}

export function toggleSplit() {
  set({split: state.split === null ? 0.5 : null});
}

export function showBefore(before) {
  set({before});
}

/** Keeps the divider on the picture. */
export function placeDivider(stageViewport) {
  viewport = stageViewport;
  if (state.split === null) return;
  const {left, top, width, height} = viewport.place;
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
  const visible = scene && (split !== null || before);
  if (visible && image.src !== $("photo").src) image.src = $("photo").src;
  image.hidden = !visible;
  image.style.clipPath = before || split === null ? "none" : `inset(0 ${100 * (1 - split)}% 0 0)`;
  for (const id of ["divider", "tag-before", "tag-after"]) $(id).hidden = split === null || before || !scene;
  $("compare").setAttribute("aria-pressed", String(split !== null));
  $("hold-before").setAttribute("aria-pressed", String(before));
  const percent = Math.round(100 * (split ?? 0.5));
  $("divider").setAttribute("aria-valuenow", String(percent));
  $("divider").setAttribute("aria-valuetext", `${percent} percent before`);
  if (viewport) placeDivider(viewport);
}

function setSplit(share) {
  set({split: clamp(share, 0, 1)});
}

function handleKey(event) {
  const split = {
    ...{ArrowLeft: state.split - STEP, ArrowDown: state.split - STEP},
    ...{ArrowRight: state.split + STEP, ArrowUp: state.split + STEP},
    ...{PageDown: state.split - 0.1, PageUp: state.split + 0.1, Home: 0, End: 1},
  }[event.key];
  if (split === undefined) return;
  event.preventDefault();
  event.stopPropagation();
  setSplit(split);
}
