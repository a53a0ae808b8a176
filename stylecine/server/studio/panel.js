// Sliders for the whole loop and for each class, and the list of what was changed.

import {$, icon, make} from "./dom.js";
import {colourOf} from "./canvas/marks.js";
import {change, removeEdit} from "./session.js";
import {set, state, watch} from "./state.js";
import {CLASSES, PAINTS, SEEN, factorSlider, placeOf, show, timesAsFast} from "./tools.js";

const LOOKS = [
  {id: "speed", name: "Speed", min: -2, max: 2, step: 0.05, to: at => round(2 ** at), from: Math.log2, words: timesAsFast},
  {id: "seconds", name: "Length", min: 1, max: 12, step: 0.5, words: value => `${value} s`},
  {id: "detail", name: "Detail", min: 0, max: 1, step: 0.05, words: value => `${Math.round(100 * value)}%`},
];
const same = value => value;

export function beginPanel() {
  for (const look of LOOKS) $("look").append(lookField(look));
  $("look").append(fullSwitch());
  watch(["look"], showLooks);
  watch(["scene", "edits"], showClasses);
  watch(["edits"], showChanges);
  $("adjust").addEventListener("click", () => openSheet($("panel").dataset.open !== "true"));
  $("sheet-close").addEventListener("click", () => openSheet(false));
  $("panel").addEventListener("keydown", event => {
    if (event.key === "Escape") openSheet(false);
  });
}

function openSheet(isOpen) {
  $("panel").dataset.open = String(isOpen);
  $("adjust").setAttribute("aria-expanded", String(isOpen));
  (isOpen ? $("sheet-close") : $("adjust")).focus();
}

// --- the loop

function lookField({id, name, min, max, step, to = same}) {
  const input = make("input", {type: "range", id: `look-${id}`, min: String(min), max: String(max), step: String(step)});
  input.addEventListener("input", () => {
    change({look: {...state.look, [id]: to(Number(input.value))}}, `look ${id}`);
  });
  return field(input, name);
}

function field(input, name, ...before) {
  const label = make("label", {htmlFor: input.id}, ...before, name);
  return make("div", {className: "field"}, label, make("output", {id: `${input.id}-value`, htmlFor: input.id}), input);
}

function showLooks() {
  for (const {id, words, from = same} of LOOKS) {
    show($(`look-${id}`), from(state.look[id]), $(`look-${id}-value`), words(state.look[id]));
  }
}

function fullSwitch() {
  const input = make("input", {type: "checkbox", id: "full"});
  input.addEventListener("change", () => {
    set({full: input.checked});
  });
  const title = "Plays at the photo's own size, which takes more of this computer.";
  return make("label", {className: "switch", title}, make("span", {}, "Play at full size"), input);
}

// --- each class

function showClasses() {
  const seen = Object.keys(CLASSES).filter(name => (state.scene?.classes?.[name] ?? 0) >= SEEN || speedOf(name));
  $("classes-section").hidden = !seen.length;
  const shown = [...$("classes").children].map(child => child.dataset.name);
  if (shown.join() !== seen.join()) $("classes").replaceChildren(...seen.map(classField));
  for (const name of seen) {
    const factor = speedOf(name)?.factor ?? 1;
    show($(`class-${name}`), placeOf(factor), $(`class-${name}-value`), timesAsFast(factor));
  }
}

function classField(name) {
  const input = factorSlider(`class-${name}`, factor => {
    const others = state.edits.filter(edit => edit !== speedOf(name));
    const edits = factor === 1 ? others : [...others, {kind: "speed", what: name, factor}];
    change({edits}, `class ${name}`);
  });
  const swatch = make("span", {className: "swatch"});
  swatch.style.setProperty("--colour", colourOf({kind: "paint", mode: "add", what: name}));
  const made = field(input, CLASSES[name], swatch);
  made.dataset.name = name;
  return made;
}

function speedOf(name) {
  return state.edits.find(edit => edit.kind === "speed" && edit.what === name && !edit.stroke);
}

// --- changes

function showChanges() {
  const listed = state.edits.filter(edit => edit.kind !== "speed" || !edit.what);
  $("changes-none").hidden = listed.length > 0;
  $("changes").replaceChildren(...listed.map(item).reverse());
}

function item(edit) {
  const [picture, words] = described(edit);
  const remove = make("button", {className: "quiet icon-only", type: "button", ariaLabel: `Take back: ${words}`}, icon("close"));
  const row = make("li", {}, icon(picture), make("span", {}, words), remove);
  row.style.setProperty("--colour", ["push", "anchor"].includes(edit.kind) ? "var(--muted)" : `var(--mark-${markOf(edit)})`);
  remove.addEventListener("click", () => {
    const at = [...$("changes").children].indexOf(row);
    removeEdit(edit);
    const left = $("changes").children;
    (left[Math.min(at, left.length - 1)]?.querySelector("button") ?? $("marks")).focus();
  });
  for (const name of ["pointerenter", "focusin"]) row.addEventListener(name, () => set({marked: edit}));
  for (const name of ["pointerleave", "focusout"]) row.addEventListener(name, () => set({marked: null}));
  return row;
}

function described({kind, mode, what, factor, stroke}) {
  const area = stroke || kind !== "paint" ? "" : " (a mask)";
  switch (kind) {
    case "push": return ["push", "Pushed"];
    case "anchor": return ["anchor", "Anchored"];
    case "speed": return ["speed", `Speed here ${timesAsFast(factor)}`];
    default: {
      if (mode === "add") return [what, `${PAINTS[what]} moves here${area}`];
      if (mode === "freeze") return ["freeze", `Frozen${area}`];
      return ["erase", `${what ? PAINTS[what] : "Nothing"} ${what ? "erased" : "moves here"}${area}`];
    }
  }
}

function markOf({kind, mode, what}) {
  return kind === "speed" ? "speed" : mode === "add" ? what : mode;
}

function round(value) {
  return Math.round(100 * value) / 100;
}
