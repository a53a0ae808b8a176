// The tools, and what each can be told: which class, how wide, how fast.

import {$, fill, icon, make} from "./dom.js";
import {THINNEST, WIDEST, setRadius} from "./canvas/stage.js";
import {COLOURS} from "./canvas/marks.js";
import {set, state, watch} from "./state.js";

export const SEEN = 0.004;  // of the picture: a class of less is not spoken of
export const CLASSES = {sky: "Sky", water: "Water", falls: "Falls", smoke: "Smoke"};
export const PAINTS = {...CLASSES, cloth: "Cloth"};

export const TOOLS = [
  {id: "view", icon: "hand", name: "Look", key: "v", hint: matchMedia("(pointer: coarse)").matches ? "Pinch to zoom, then drag to move the picture." : "Turn the wheel to zoom, then drag to move the picture."},
  {id: "paint", icon: "paint", name: "Paint", key: "p", hint: "Paint roughly over what should move; the edge of it is found."},
  {id: "erase", icon: "erase", name: "Erase", key: "e", hint: "What was taken for moving and does not move."},
  {id: "freeze", icon: "freeze", name: "Freeze", key: "f", hint: "Paint over what must stand still: a rock, a boat, a pier."},
  {id: "push", icon: "push", name: "Push", key: "u", hint: "Drag an arrow from matter to where it should be one second later. Short is slow."},
  {id: "anchor", icon: "anchor", name: "Anchor", key: "a", hint: "A place of rest; around it matter gradually gets going. Drag to say how far."},
  {id: "speed", icon: "speed", name: "Speed", key: "s", hint: "Paint over what should be slower or faster; the border is soft."},
];

export function beginTools() {
  for (const tool of TOOLS) $("tools").append(toolButton(tool));
  watch(["tool"], () => {
    $("tools").querySelector(`[value="${state.tool}"]`).checked = true;
    showOptions();
  });
  watch(["scene"], () => { if (state.tool === "view") showOptions(); });
  watch(["radii", "what", "factor"], showValues);
}

function toolButton({id, name, icon: picture, hint, key}) {
  const input = make("input", {type: "radio", name: "tool", value: id, "aria-description": hint});
  input.addEventListener("change", () => set({tool: id}));
  return make("label", {className: "tool", "data-tip": name, "data-keys": key.toUpperCase()}, input, icon(picture), make("span", {}, name));
}

function showOptions() {
  const tool = TOOLS.find(({id}) => id === state.tool);
  const parts = [make("h2", {}, tool.name), make("p", {className: "hint"}, tool.hint)];
  if (tool.id === "view") parts.push(facts());
  if (tool.id === "paint") parts.push(classChoice());
  if (tool.id in state.radii) parts.push(sizeField(tool.id));
  if (tool.id === "speed") parts.push(factorField());
  $("options").replaceChildren(...parts);
  showValues();
}

/** How large the photo is, and how much of it moves. */
function facts() {
  const {scene} = state;
  const list = make("dl", {className: "facts"});
  if (!scene) return list;
  const percent = share => share > 0 && share < 0.01 ? "<1%" : `${Math.round(100 * share)}%`;
  const rows = [["Size", `${scene.width} × ${scene.height}`], ["Moving", percent(scene.moving)]];
  for (const [name, words] of Object.entries(PAINTS)) {
    if (scene.classes[name] >= SEEN) rows.push([words, percent(scene.classes[name]), COLOURS[name]]);
  }
  for (const [term, value, colour] of rows) {
    const swatch = colour ? make("span", {className: "swatch"}) : null;
    swatch?.style.setProperty("--colour", colour);
    list.append(make("div", {}, make("dt", {}, ...[swatch, term].filter(Boolean)), make("dd", {}, value)));
  }
  return list;
}

function classChoice() {
  const labels = Object.entries(PAINTS).map(([id, name], at) => {
    const input = make("input", {type: "radio", name: "what", value: id, "aria-label": name});  // phones show no words
    input.addEventListener("change", () => set({what: id}));
    const swatch = make("span", {className: "swatch"});
    swatch.style.setProperty("--colour", COLOURS[id]);
    return make("label", {"data-tip": name, "data-keys": String(at + 1)}, input, swatch, icon(id), make("span", {className: "word"}, name));
  });
  return make("div", {className: "choice", role: "radiogroup", "aria-label": "What moves there"}, ...labels);
}

function sizeField(tool) {
  const name = tool === "anchor" ? "Reach" : "Brush";
  const input = make("input", {type: "range", id: "brush-size", min: "0", max: "100", step: "1"});
  input.addEventListener("input", () => setRadius(radiusOf(input.value)));
  return make("div", {className: "field"}, make("label", {htmlFor: "brush-size"}, name), make("output", {id: "brush-value"}), input);
}

function factorField() {
  const input = factorSlider("factor", factor => set({factor}));
  return make("div", {className: "field"}, make("label", {htmlFor: "factor"}, "Speed"), make("output", {id: "factor-value"}), input);
}

function showValues() {
  const [size, factor] = [$("brush-size"), $("factor")];
  const what = $("options").querySelector(`[value="${state.what}"]`);
  if (what) what.checked = true;
  if (size && state.tool in state.radii) {
    const radius = state.radii[state.tool];
    const words = `${(200 * radius).toFixed(radius < 0.05 ? 1 : 0)}%`;
    show(size, sliderOf(radius), $("brush-value"), words, `${words} of the short side across`);
  }
  if (factor) show(factor, placeOf(state.factor), $("factor-value"), timesAsFast(state.factor));
}

/** A slider from rest to four times as fast, with once in its middle. */
export function factorSlider(id, told) {
  const input = make("input", {type: "range", id, min: "-1", max: "1", step: "0.05"});
  input.addEventListener("input", () => {
    const at = Number(input.value);
    told(Math.round(100 * (at < 0 ? 1 + at : 4 ** at)) / 100);
  });
  return input;
}

/** Where on such a slider a factor lies. */
export function placeOf(factor) {
  return factor < 1 ? factor - 1 : Math.log(factor) / Math.log(4);
}

/** How many times as fast, in words. */
export function timesAsFast(factor) {
  return factor === 0 ? "at rest" : `${Number(factor.toFixed(2))}×`;
}

/** A slider and the value beside it. */
export function show(input, value, output, words, spoken = words) {
  input.value = value;
  input.setAttribute("aria-valuetext", spoken);
  output.textContent = words;
  fill(input);
}

/** Radii grow by the same factor for every step of the slider. */
function radiusOf(at) {
  return THINNEST * (WIDEST / THINNEST) ** (at / 100);
}

function sliderOf(radius) {
  return 100 * Math.log(radius / THINNEST) / Math.log(WIDEST / THINNEST);
}
