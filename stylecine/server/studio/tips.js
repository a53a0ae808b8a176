// A word about what the pointer or the focus rests on, with its key.

import {$, make} from "./dom.js";

const PATIENCE = 450;  // ms
let timer = 0;

export function beginTips() {
  document.addEventListener("pointerover", event => {
    if (event.pointerType === "mouse") later(event.target.closest?.("[data-tip]"));
  });
  document.addEventListener("focusin", event => {
    const there = event.target.closest("[data-tip]");
    if (event.target.matches(":focus-visible")) later(there);
  });
  for (const name of ["pointerdown", "keydown", "focusout"]) document.addEventListener(name, () => later(null));
}

function later(element) {
  clearTimeout(timer);
  $("tip").hidden = true;
  if (element) timer = setTimeout(() => show(element), PATIENCE);
}

function show(element) {
  const tip = $("tip");
  const keys = (element.dataset.keys ?? "").split(" ").filter(Boolean).map(key => make("kbd", {}, key));
  tip.replaceChildren(element.dataset.tip, ...keys);
  tip.hidden = false;
  const {left, top, bottom, right, width} = element.getBoundingClientRect();
  const size = tip.getBoundingClientRect();
  const beside = element.classList.contains("tool") && innerWidth > 820;
  const x = beside ? right + 8 : Math.min(innerWidth - size.width - 8, Math.max(8, left + width / 2 - size.width / 2));
  const y = beside ? top + (bottom - top - size.height) / 2 : bottom + size.height + 8 < innerHeight ? bottom + 6 : top - size.height - 6;
  Object.assign(tip.style, {left: `${x}px`, top: `${y}px`});
}
