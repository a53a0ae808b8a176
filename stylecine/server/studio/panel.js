// The side panel: how fast everything moves, as a whole and by class, and the other options of the loop.

import {colourOf} from "./canvas/drawing.js";
import {CLASSES, NAMES, OPTIONS} from "./declared.js";
import {$, button, icon, make, rangeInput, showSlider, sliderField, swatch} from "./dom.js";
import {change} from "./session.js";
import {set, state, watch} from "./state.js";
import {MIN_SHARE, factorSlider, formatFactor, positionOfFactor} from "./tools.js";

const REVERSIBLE = ["sky", "water", "smoke"];
const formatAs = {" s": value => `${value} s`, "%": value => `${Math.round(100 * value)}%`};  // by the unit
/** With `toPosition` and `toValue` as it is not linear. */
const SPEED = {
  ...{id: "speed", label: OPTIONS.speed.label, min: -2, max: 2, step: 0.05, format: formatFactor},
  ...{toPosition: Math.log2, toValue: position => Math.round(100 * 2 ** position) / 100},
};
const SLIDERS = Object.entries(OPTIONS).filter(([, {step}]) => step)
  .map(([id, option]) => ({id, ...option, format: formatAs[option.unit]}));

/** An option of the loop in words. */
export function describeOption(name, value) {
  const {format = inWords} = [SPEED, ...SLIDERS].find(({id}) => id === name) ?? {};
  return name === "wind" ? OPTIONS.wind.label : `${OPTIONS[name].label}: ${format(value)}`;
}

export function initPanel() {
  $("weather").append(segments("weather", [null, ...OPTIONS.weather.choices]));
  $("pace").append(segments("pace", OPTIONS.pace.choices));
  $("speed").append(loopSlider(SPEED));
  for (const slider of SLIDERS) $(`${slider.section ?? "loop"}-options`).append(loopSlider(slider));
  $("loop-options").append(fullSizeSwitch());
  watch(["options"], showLoopOptions);
  watch(["scene", "edits"], showClasses);
  $("adjust").addEventListener("click", () => openSheet($("panel").dataset.open !== "true"));
  $("sheet-close").addEventListener("click", () => openSheet(false));
  $("panel").addEventListener("keydown", event => {
    if (event.key === "Escape") openSheet(false);
  });
}

/** On a phone the panel is a sheet. */
export function openSheet(open) {
  $("panel").dataset.open = String(open);
  $("adjust").setAttribute("aria-expanded", String(open));
  (open ? $("sheet-close") : $("adjust")).focus();
}

// --- the loop

/** An option that has one of some values; null: none. */
function segments(name, values) {
  const choices = values.map(value => {
    const onchange = () => change({options: {...state.options, [name]: value}}, `option ${name}`);
    const input = make("input", {type: "radio", name, value: inWords(value), onchange});
    return make("label", {}, input, inWords(value)[0].toUpperCase() + inWords(value).slice(1));
  });
  return make("div", {className: "choice segments", role: "radiogroup", ariaLabel: OPTIONS[name].label}, ...choices);
}

function inWords(value) { return String(value ?? "none"); }

function loopSlider({id, label, min, max, step, toValue = Number}) {
  const input = rangeInput({id: `loop-${id}`, min: String(min), max: String(max), step: String(step)}, () => {
    change({options: {...state.options, [id]: toValue(input.value)}}, `option ${id}`);
  });
  return sliderField(input, label);
}

function showLoopOptions() {
  for (const name of ["pace", "weather"]) {
    $(name).querySelector(`[value="${inWords(state.options[name])}"]`).checked = true;
  }
  $("weather-options").hidden = state.options.weather === null;
  for (const {id, format, toPosition = Number} of [SPEED, ...SLIDERS]) {
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
  const names = CLASSES.filter(name => (state.scene?.classes?.[name] ?? 0) >= MIN_SHARE || speedOf(name));
  const shown = [...$("classes").children].map(child => child.dataset.name);
  if (shown.join() !== names.join()) $("classes").replaceChildren(...names.map(classSlider));
  for (const name of names) {
    const factor = speedOf(name)?.factor ?? 1;
    showSlider(`class-${name}`, positionOfFactor(Math.abs(factor)), formatFactor(factor));
    if ($(`reverse-${name}`)) $(`reverse-${name}`).ariaPressed = String(factor < 0);
  }
}

function classSlider(name) {
  const input = factorSlider(`class-${name}`, factor => setSpeed(name, isReversed(name) ? -factor : factor));
  const field = sliderField(input, NAMES[name], swatch(colourOf({kind: "paint", mode: "add", what: name})));
  field.dataset.name = name;
  if (REVERSIBLE.includes(name)) field.append(reverseButton(name));
  return field;
}

function reverseButton(name) {
  const reverse = button("ghost icon-only toggle", () => setSpeed(name, -(speedOf(name)?.factor || 1)), icon("reverse"));
  const label = `Reverse the ${NAMES[name].toLowerCase()}`;
  return Object.assign(reverse, {id: `reverse-${name}`, ariaLabel: label, ariaPressed: "false"});
}

function isReversed(name) {
  return (speedOf(name)?.factor ?? 1) < 0;
}

function setSpeed(name, factor) {
  const others = state.edits.filter(edit => edit !== speedOf(name));
  const edits = factor === 1 ? others : [...others, {kind: "speed", what: name, factor}];
  change({edits}, `class ${name}`);
}

function speedOf(name) {
  return state.edits.find(edit => edit.kind === "speed" && edit.what === name && !edit.stroke);
}
