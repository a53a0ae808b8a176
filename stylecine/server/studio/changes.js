// The list of changes, the newest first: every step by name, to go back to one and forward again; those that are still
// in the picture can be removed one by one.

import {NAMES, TOOLS} from "./declared.js";
import {$, button, icon, make} from "./dom.js";
import {describeOption, openSheet} from "./panel.js";
import {removeEdit, travelTo} from "./session.js";
import {history, set, state, watch} from "./state.js";
import {styleLabel} from "./style-panel.js";
import {formatFactor} from "./tools.js";

const DIRECTIONS = ["right", "down right", "down", "down left", "left", "up left", "up", "up right"];  // clockwise

export function initChanges() {
  watch(["edits", "options", "past", "future"], showChanges);
  $("changes").addEventListener("keydown", event => {
    const move = {ArrowUp: "previousElementSibling", ArrowDown: "nextElementSibling"}[event.key];
    if (!move) return;
    event.target.closest("li")?.[move]?.querySelector("button")?.focus();
    event.preventDefault();
  });
}

/** Moves the focus to the step at which the picture is. */
export function focusChanges() {
  if (!current()) return;
  if ($("adjust").checkVisibility()) openSheet(true);
  current().focus();
}

function current() {
  return $("changes").querySelector("[aria-current]");
}

let shown = [];

function showChanges() {
  const changes = listChanges();
  const same = (a, b) => Object.keys(a).every(key => a[key] === b[key]);
  if (changes.length === shown.length && changes.every((change, at) => same(change, shown[at]))) return;
  shown = changes;
  const focused = $("changes").contains(document.activeElement);
  $("changes-empty").hidden = changes.length > 0;
  $("changes").replaceChildren(...changes.map(makeRow));
  reveal(current());
  if (focused) current()?.focus();
}

/** Scrolls the list alone: on a phone the sheet around it would leave what is being tapped. */
function reveal(step) {
  if (!step) return;
  const list = step.closest("section"), [own, visible] = [step, list].map(part => part.getBoundingClientRect());
  list.scrollTop += Math.min(0, own.top - visible.top) + Math.max(0, own.bottom - visible.bottom);
}

/** What the list shows: {name, index of the step or null, its edit or null, whether that is still there, ahead}. */
function listChanges() {
  const steps = history();
  if (!state.edits.length && steps.length === 1) return [];
  const isThere = edit => state.edits.includes(edit);
  const later = steps.slice(1).map((step, at) => {
    const edit = step.edits.find(other => !steps[at].edits.includes(other)) ?? null;
    return {name: nameOf(steps[at], step, edit), index: at + 1, edit, isThere: isThere(edit), at: state.past.length};
  });
  const opened = {name: "Opened", index: 0, edit: null, isThere: false, at: state.past.length};
  const earlier = steps[0].edits.map(edit => ({name: describe(edit)[1], index: null, edit, isThere: isThere(edit), at: 0}));
  return [...earlier, opened, ...later].reverse();
}

/** at: the step at which the picture is. */
function makeRow({name, index, edit, isThere, at}) {
  const step = index === null ? make("span", {}, name) : stepButton(name, index, at);
  const row = make("li", {className: index > at ? "row ahead" : "row"}, step);
  if (!edit) return row;
  const [picture, text] = describe(edit);
  row.prepend(icon(picture));
  row.style.setProperty("--colour", `var(--mark-${picture}, var(--muted))`);
  if (!isThere) return row;
  const highlight = {pointerenter: edit, focusin: edit, pointerleave: null, focusout: null};
  for (const [name, highlighted] of Object.entries(highlight)) row.addEventListener(name, () => set({highlighted}));
  row.append(removeButton(edit, text));
  return row;
}

function stepButton(name, index, at) {
  const travel = () => {
    if (index !== at) travelTo(index, `${index < at ? "Back" : "Forward"} to: ${name}`);
  };
  const step = button("ghost step", travel, name);
  if (index === at) step.ariaCurrent = "step";
  return step;
}

function removeButton(edit, text) {
  const remove = button("ghost icon-only remove", () => {
    const index = [...$("changes").querySelectorAll(".remove")].indexOf(remove);
    removeEdit(edit);
    const others = $("changes").querySelectorAll(".remove");
    (others[Math.min(index, others.length - 1)] ?? $("overlay")).focus();
  }, icon("close"));
  remove.ariaLabel = `Remove: ${text}`;
  return remove;
}

// --- names

/** What led from one state to the next; added: the new edit, if there is one. */
function nameOf(before, after, added) {
  const option = Object.keys(after.options).find(name => after.options[name] !== before.options[name]);
  if (option) return describeOption(option, after.options[option]);
  if (added) return describe(added)[1];
  const removed = before.edits.find(edit => !after.edits.includes(edit));
  if (removed?.kind === "style") return "Style: original";
  if (removed?.kind === "speed" && removed.what) return `${NAMES[removed.what]} speed: 1×`;
  return removed ? `Removed: ${describe(removed)[1]}` : "Opened";
}

/** An edit's icon and text. */
function describe(edit) {
  const {kind, mode, what, factor, stroke, arrow} = edit;
  if (kind === "style") return ["style", `Style: ${styleLabel(edit)}`];
  const source = stroke || kind !== "paint" ? "" : " (mask)";
  if (kind === "push") return ["push", `Pushed ${directionOf(arrow)}`];
  if (kind === "anchor") return ["anchor", "Anchored"];
  if (kind === "speed" && what) return ["speed", `${NAMES[what]} speed: ${formatFactor(factor)}`];
  if (kind === "speed") return ["speed", `Speed here: ${formatFactor(factor)}`];
  if (kind !== "paint") return [kind, TOOLS.find(tool => tool.edit.kind === kind)?.name ?? kind];
  if (mode === "add") return [what, `${NAMES[what]} painted${source}`];
  if (mode === "freeze") return ["freeze", `Frozen${source}`];
  return ["erase", `${what ? `${NAMES[what]} erased` : "Erased"}${source}`];
}

function directionOf(arrow) {
  const {width, height} = state.scene, [[x0, y0], [x1, y1]] = [arrow.slice(0, 2), arrow.slice(-2)];
  const turns = Math.atan2((y1 - y0) * height, (x1 - x0) * width) / (2 * Math.PI);
  return DIRECTIONS[(Math.round(8 * turns) + 8) % 8];
}
