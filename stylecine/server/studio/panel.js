// The side panel: sliders for the whole loop and for each class, and the list of changes; the pace below the picture.

import {colourOf} from "./canvas/drawing.js";
import {$, button, icon, make, rangeInput, showSlider, sliderField, swatch} from "./dom.js";
import {OPTIONS} from "./options.js";
import {change, removeEdit} from "./session.js";
import {set, state, watch} from "./state.js";
import {styleLabel} from "./style-panel.js";
import {CLASSES, MIN_SHARE, PAINT_CLASSES, factorSlider, formatFactor, positionOfFactor} from "./tools.js";

/** With `toPosition` and `toValue` if the slider is not linear. */
const SLIDERS = [
  {
    ...{id: "speed", label: "Speed", min: -2, max: 2, step: 0.05, format: formatFactor},
    ...{toPosition: Math.log2, toValue: position => Math.round(100 * 2 ** position) / 100},
  },
  {id: "seconds", label: "Length", min: 1, max: 12, step: 0.5, format: value => `${value} s`},
  {
    ...{id: "detail", label: "Detail", min: OPTIONS.detail.ge, max: OPTIONS.detail.le, step: 0.05},
    format: value => `${Math.round(100 * value)}%`,
  },
];

/** An option of the loop in words. */
export function describeOption(name, value) {
  if (name === "pace") return `Pace: ${value}`;
  if (name === "wind") return "Wind";
  const {label, format} = SLIDERS.find(({id}) => id === name);
  return `${label}: ${format(value)}`;
}

const UNCOLOURED = ["push", "anchor", "style"];  // kinds of edits

export function initPanel() {
  $("pace").append(...paceSwitch());
  $("loop-options").append(...SLIDERS.map(loopSlider), fullSizeSwitch());
  watch(["options"], showLoopOptions);
  watch(["scene", "edits"], showClasses);
  watch(["edits"], showChanges);
  $("adjust").addEventListener("click", () => openSheet($("panel").dataset.open !== "true"));
  $("sheet-close").addEventListener("click", () => openSheet(false));
  $("panel").addEventListener("keydown", event => {
    if (event.key === "Escape") openSheet(false);
  });
}

/** On a phone the panel is a sheet. */
function openSheet(open) {
  $("panel").dataset.open = String(open);
  $("adjust").setAttribute("aria-expanded", String(open));
  (open ? $("sheet-close") : $("adjust")).focus();
}

// --- the loop

/** How fast what is predicted moves, in three steps; the speed slider scales all motion. */
function paceSwitch() {
  const steps = OPTIONS.pace.choices.map(value => {
    const onchange = () => change({options: {...state.options, pace: value}}, "option pace");
    const input = make("input", {type: "radio", name: "pace", value, onchange});
    return make("label", {}, input, value[0].toUpperCase() + value.slice(1));
  });
  const group = {className: "choice segments", role: "radiogroup", "aria-labelledby": "pace-label"};
  return [make("span", {id: "pace-label"}, "Pace"), make("div", group, ...steps)];
}

function loopSlider({id, label, min, max, step, toValue = Number}) {
  const input = rangeInput({id: `loop-${id}`, min: String(min), max: String(max), step: String(step)}, () => {
    change({options: {...state.options, [id]: toValue(input.value)}}, `option ${id}`);
  });
  return sliderField(input, label);
}

function showLoopOptions() {
  $("pace").querySelector(`[value="${state.options.pace}"]`).checked = true;
  for (const {id, format, toPosition = Number} of SLIDERS) {
    const value = state.options[id];
    showSlider(`loop-${id}`, toPosition(value), format(value));
  }
}

function fullSizeSwitch() {
  const input = make("input", {type: "checkbox", id: "full-size", onchange: () => set({fullSize: input.checked})});
  const title = "Plays all the photo's pixels, which takes more of this computer.";
  return make("label", {className: "switch", title}, make("span", {}, "Preview at full size"), input);
}

// --- each class

function showClasses() {
  const names = Object.keys(CLASSES).filter(name => (state.scene?.classes?.[name] ?? 0) >= MIN_SHARE || speedOf(name));
  $("classes-section").hidden = !names.length;
  const shown = [...$("classes").children].map(child => child.dataset.name);
  if (shown.join() !== names.join()) $("classes").replaceChildren(...names.map(classSlider));
  for (const name of names) {
    const factor = speedOf(name)?.factor ?? 1;
    showSlider(`class-${name}`, positionOfFactor(factor), formatFactor(factor));
  }
}

function classSlider(name) {
  const input = factorSlider(`class-${name}`, factor => {
    const others = state.edits.filter(edit => edit !== speedOf(name));
    const edits = factor === 1 ? others : [...others, {kind: "speed", what: name, factor}];
    change({edits}, `class ${name}`);
  });
  const field = sliderField(input, CLASSES[name], swatch(colourOf({kind: "paint", mode: "add", what: name})));
  field.dataset.name = name;
  return field;
}

function speedOf(name) {
  return state.edits.find(edit => edit.kind === "speed" && edit.what === name && !edit.stroke);
}

// --- changes

function showChanges() {
  const listed = state.edits.filter(edit => edit.kind !== "speed" || !edit.what);
  $("changes-empty").hidden = listed.length > 0;
  $("changes").replaceChildren(...listed.map(changeRow).reverse());
}

function changeRow(edit) {
  const [picture, text] = describe(edit);
  const remove = button("ghost icon-only", () => {
    const rows = $("changes").children;
    const index = [...rows].indexOf(row);
    removeEdit(edit);
    (rows[Math.min(index, rows.length - 1)]?.querySelector("button") ?? $("overlay")).focus();
  }, icon("close"));
  remove.ariaLabel = `Remove: ${text}`;
  const row = make("li", {className: "row"}, icon(picture), make("span", {}, text), remove);
  row.style.setProperty("--colour", UNCOLOURED.includes(edit.kind) ? "var(--muted)" : `var(--mark-${picture})`);
  const highlight = {pointerenter: edit, focusin: edit, pointerleave: null, focusout: null};
  for (const [name, highlighted] of Object.entries(highlight)) row.addEventListener(name, () => set({highlighted}));
  return row;
}

/** An edit's icon and text. */
export function describe(edit) {
  const {kind, mode, what, factor, stroke} = edit;
  if (kind === "style") return ["style", `Style: ${styleLabel(edit)}`];
  const source = stroke || kind !== "paint" ? "" : " (mask)";
  if (kind === "push") return ["push", "Pushed"];
  if (kind === "anchor") return ["anchor", "Anchored"];
  if (kind === "speed" && what) return ["speed", `${CLASSES[what]} speed: ${formatFactor(factor)}`];
  if (kind === "speed") return ["speed", `Speed here: ${formatFactor(factor)}`];
  if (mode === "add") return [what, `${PAINT_CLASSES[what]} painted${source}`];
  if (mode === "freeze") return ["freeze", `Frozen${source}`];
  return ["erase", `${what ? `${PAINT_CLASSES[what]} erased` : "Erased"}${source}`];
}
