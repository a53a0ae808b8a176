// The tools and their options: paint class, brush size, speed.

import {COLOURS} from "./canvas/drawing.js";
import {MAX_RADIUS, MIN_RADIUS, setRadius} from "./canvas/stage.js";
import {NAMES, TOOLS} from "./declared.js";
import {$, icon, make, rangeInput, showSlider, sliderField, swatch} from "./dom.js";
import {set, state, toolOf, watch} from "./state.js";

export const MIN_SHARE = 0.004;  // of the picture, for a class to be listed
if (matchMedia("(pointer: coarse)").matches) TOOLS[0].hint = TOOLS[0].hint.replace("Scroll", "Pinch");

export function initTools() {
  for (const id of Object.keys(NAMES)) document.documentElement.style.setProperty(`--mark-${id}`, COLOURS[id]);
  for (const tool of TOOLS) $("tools").append(toolButton(tool));
  watch(["tool"], () => {
    $("tools").querySelector(`[value="${state.tool}"]`).checked = true;
    showOptions();
  });
  watch(["scene"], () => { if (state.tool === "view") showOptions(); });
  watch(["radii", "paintClass", "factor"], showValues);
}

function toolButton({id, name, key, hint}) {
  const onchange = () => set({tool: id});
  const input = make("input", {type: "radio", name: "tool", value: id, "aria-description": hint, onchange});
  const tip = {"data-tip": name, "data-keys": key.toUpperCase()};
  return make("label", {className: "tool", ...tip}, input, icon(id), make("span", {}, name));
}

function showOptions() {
  const tool = toolOf(state.tool);
  const parts = [make("h2", {}, tool.name), make("p", {className: "hint"}, tool.hint)];
  if (tool.id === "view") parts.push(sceneFacts());
  if (tool.id === "paint") parts.push(classChoice());
  if (tool.id in state.radii) parts.push(sizeField(tool.id));
  if (tool.id === "speed") parts.push(sliderField(factorSlider("factor", factor => set({factor})), "Speed"));
  $("options").replaceChildren(...parts);
  showValues();
}

/** The photo's size, and how much of it moves. */
function sceneFacts() {
  const {scene} = state;
  const list = make("dl", {className: "facts"});
  if (!scene) return list;
  const percent = share => share > 0 && share < 0.01 ? "<1%" : `${Math.round(100 * share)}%`;
  const rows = [["Size", `${scene.width} × ${scene.height}`], ["Moving", percent(scene.moving)]];
  for (const [id, name] of Object.entries(NAMES)) {
    if (scene.classes[id] >= MIN_SHARE) rows.push([name, percent(scene.classes[id]), COLOURS[id]]);
  }
  for (const [term, value, colour] of rows) {
    list.append(make("div", {}, make("dt", {}, colour ? swatch(colour) : null, term), make("dd", {}, value)));
  }
  return list;
}

function classChoice() {
  const labels = Object.entries(NAMES).map(([id, name], index) => {
    const onchange = () => set({paintClass: id});
    const input = make("input", {type: "radio", name: "paint-class", value: id, ariaLabel: name, onchange});
    const tip = {"data-tip": name, "data-keys": String(index + 1)};
    return make("label", tip, input, swatch(COLOURS[id]), icon(id), make("span", {className: "name"}, name));
  });
  return make("div", {className: "choice", role: "radiogroup", ariaLabel: "What moves there"}, ...labels);
}

function sizeField(tool) {
  const setSize = event => setRadius(radiusAt(event.target.value));
  const label = toolOf(tool).gesture === "point" ? "Reach" : "Brush";
  return sliderField(rangeInput({id: "brush-size", min: "0", max: "100", step: "1", ariaLabel: label}, setSize), label);
}

function showValues() {
  const choice = $("options").querySelector(`[value="${state.paintClass}"]`);
  if (choice) choice.checked = true;
  if ($("brush-size") && state.tool in state.radii) {
    const radius = state.radii[state.tool];
    const text = `${(200 * radius).toFixed(radius < 0.05 ? 1 : 0)}%`;
    showSlider("brush-size", positionOfRadius(radius), text, `${text} of the short side across`);
  }
  if ($("factor")) showSlider("factor", positionOfFactor(state.factor), formatFactor(state.factor));
}

/** A slider from 0 to 4 times the speed, with 1 in the middle. */
export function factorSlider(id, onChange) {
  return rangeInput({id, min: "-1", max: "1", step: "0.05"}, event => {
    const position = Number(event.target.value);
    onChange(Math.round(100 * (position < 0 ? 1 + position : 4 ** position)) / 100);
  });
}

export function positionOfFactor(factor) {
  return factor < 1 ? factor - 1 : Math.log(factor) / Math.log(4);
}

export function formatFactor(factor) {
  if (factor === 0) return "still";
  return `${Number(Math.abs(factor).toFixed(2))}×${factor < 0 ? " reversed" : ""}`;
}

/** Equal steps of the slider multiply the radius equally. */
function radiusAt(position) {
  return MIN_RADIUS * (MAX_RADIUS / MIN_RADIUS) ** (position / 100);
}

function positionOfRadius(radius) {
  return 100 * Math.log(radius / MIN_RADIUS) / Math.log(MAX_RADIUS / MIN_RADIUS);
}
