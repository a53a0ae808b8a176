// The list of changes, the newest first: every step by name, to go back to one and forward again; those that are still
// in the picture can be removed one by one.

import {$, button, icon, make} from "./dom.js";
import {describeOption, openSheet} from "./panel.js";
import {removeEdit, travelTo} from "./session.js";
import {history, set, state, watch} from "./state.js";
import {styleLabel} from "./style-panel.js";
import {CLASSES, PAINT_CLASSES, formatFactor} from "./tools.js";

const UNCOLOURED = ["push", "anchor", "style"];  // kinds of edits
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

function showChanges() {
  const steps = history();
  const isOpened = state.edits.length > 0 || steps.length > 1;
  const rows = steps.map((step, index) => index ? stepRow(steps[index - 1], step, index) : openedRow());
  const focused = $("changes").contains(document.activeElement);
  $("changes-empty").hidden = isOpened;
  $("changes").replaceChildren(...(isOpened ? [...rows.reverse(), ...steps[0].edits.map(earlierRow).reverse()] : []));
  current()?.scrollIntoView({block: "nearest"});
  if (focused) current()?.focus();
}

function stepRow(before, after, index) {
  const edit = after.edits.find(other => !before.edits.includes(other)) ?? null;
  return makeRow(stepButton(nameOf(before, after, edit), index), edit, index > state.past.length);
}

function openedRow() {
  return makeRow(stepButton("Opened", 0), null, false);
}

/** Of an edit with which the scene was opened. */
function earlierRow(edit) {
  return makeRow(make("span", {}, describe(edit)[1]), edit, false);
}

function stepButton(name, index) {
  const travel = () => {
    if (index !== state.past.length) travelTo(index, `${index < state.past.length ? "Back" : "Forward"} to: ${name}`);
  };
  const step = button("ghost step", travel, name);
  if (index === state.past.length) step.ariaCurrent = "step";
  return step;
}

/** ahead: whether the picture is at an earlier step. */
function makeRow(step, edit, ahead) {
  const row = make("li", {className: ahead ? "row ahead" : "row"}, step);
  if (!edit) return row;
  const [picture, text] = describe(edit);
  row.prepend(icon(picture));
  row.style.setProperty("--colour", UNCOLOURED.includes(edit.kind) ? "var(--muted)" : `var(--mark-${picture})`);
  if (!state.edits.includes(edit)) return row;
  const highlight = {pointerenter: edit, focusin: edit, pointerleave: null, focusout: null};
  for (const [name, highlighted] of Object.entries(highlight)) row.addEventListener(name, () => set({highlighted}));
  row.append(removeButton(edit, text));
  return row;
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
  if (removed?.kind === "speed" && removed.what) return `${CLASSES[removed.what]} speed: 1×`;
  return removed ? `Removed: ${describe(removed)[1]}` : "Opened";
}

/** An edit's icon and text. */
function describe(edit) {
  const {kind, mode, what, factor, stroke, arrow} = edit;
  if (kind === "style") return ["style", `Style: ${styleLabel(edit)}`];
  const source = stroke || kind !== "paint" ? "" : " (mask)";
  if (kind === "push") return ["push", `Pushed ${directionOf(arrow)}`];
  if (kind === "anchor") return ["anchor", "Anchored"];
  if (kind === "speed" && what) return ["speed", `${CLASSES[what]} speed: ${formatFactor(factor)}`];
  if (kind === "speed") return ["speed", `Speed here: ${formatFactor(factor)}`];
  if (mode === "add") return [what, `${PAINT_CLASSES[what]} painted${source}`];
  if (mode === "freeze") return ["freeze", `Frozen${source}`];
  return ["erase", `${what ? `${PAINT_CLASSES[what]} erased` : "Erased"}${source}`];
}

function directionOf([x0, y0, x1, y1]) {
  const {width, height} = state.scene;
  const turns = Math.atan2((y1 - y0) * height, (x1 - x0) * width) / (2 * Math.PI);
  return DIRECTIONS[(Math.round(8 * turns) + 8) % 8];
}
