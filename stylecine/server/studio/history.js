// The history: every step by name, to go back to one, and forward again.

import {$, button, clamp, make} from "./dom.js";
import {describe, describeOption} from "./panel.js";
import {travelTo} from "./session.js";
import {history, state, watch} from "./state.js";
import {CLASSES} from "./tools.js";

export function initHistory() {
  const list = $("history");
  watch(["edits", "options", "past", "future"], show);
  list.addEventListener("toggle", event => {
    if (event.newState !== "open") return;
    const {left, bottom} = $("history-open").getBoundingClientRect();
    list.style.left = `${clamp(left, 8, innerWidth - list.offsetWidth - 8)}px`;
    list.style.top = `${bottom + 6}px`;
    current().focus();
    current().scrollIntoView({block: "nearest"});
  });
  list.addEventListener("keydown", event => {
    const move = {ArrowUp: "previousElementSibling", ArrowDown: "nextElementSibling"}[event.key];
    if (!move) return;
    event.target.closest("li")?.[move]?.firstElementChild.focus();
    event.preventDefault();
  });
}

function current() {
  return $("history-steps").querySelector("[aria-current]");
}

function show() {
  const steps = history();
  const focused = $("history-steps").contains(document.activeElement);
  $("history-steps").replaceChildren(...steps.map((step, index) => {
    const name = index ? nameOf(steps[index - 1], step) : "Opened";
    const row = button("ghost", () => {
      if (index !== state.past.length) travelTo(index, `${index < state.past.length ? "Back" : "Forward"} to: ${name}`);
    }, name);
    if (index === state.past.length) row.ariaCurrent = "step";
    return make("li", {className: index > state.past.length ? "ahead" : ""}, row);
  }));
  if (focused) current().focus();
}

/** What led from one state to the next. */
function nameOf(before, after) {
  const option = Object.keys(after.options).find(name => after.options[name] !== before.options[name]);
  if (option) return describeOption(option, after.options[option]);
  const added = after.edits.find(edit => !before.edits.includes(edit));
  if (added) return describe(added)[1];
  const removed = before.edits.find(edit => !after.edits.includes(edit));
  if (removed?.kind === "style") return "Style: original";
  if (removed?.kind === "speed" && removed.what) return `${CLASSES[removed.what]} speed: 1×`;
  return removed ? `Removed: ${describe(removed)[1]}` : "Opened";
}
