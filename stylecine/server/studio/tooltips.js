// Tooltips: the name and the shortcut of the control under the pointer or with the focus.

import {$, clamp, make} from "./dom.js";

const DELAY = 450;  // ms
let timer = 0;

export function initTooltips() {
  document.addEventListener("pointerover", event => {
    if (event.pointerType === "mouse") schedule(event.target.closest?.("[data-tip]"));
  });
  document.addEventListener("focusin", event => {
    if (event.target.matches(":focus-visible")) schedule(event.target.closest("[data-tip]"));
  });
  for (const name of ["pointerdown", "keydown", "focusout"]) document.addEventListener(name, () => schedule(null));
}

function schedule(element) {
  clearTimeout(timer);
  $("tooltip").hidden = true;
  if (element) timer = setTimeout(() => show(element), DELAY);
}

function show(element) {
  const tooltip = $("tooltip");
  const keys = (element.dataset.keys ?? "").split(" ").filter(Boolean).map(key => make("kbd", {}, key));
  tooltip.replaceChildren(element.dataset.tip, ...keys);
  tooltip.hidden = false;
  const {left, top, bottom, right, width, height} = element.getBoundingClientRect();
  const size = tooltip.getBoundingClientRect();
  const below = bottom + size.height + 8 < innerHeight ? bottom + 6 : top - size.height - 6;
  const [x, y] = element.classList.contains("tool") && innerWidth > 820
    ? [right + 8, top + (height - size.height) / 2]
    : [clamp(left + width / 2 - size.width / 2, 8, innerWidth - size.width - 8), below];
  Object.assign(tooltip.style, {left: `${x}px`, top: `${y}px`});
}
