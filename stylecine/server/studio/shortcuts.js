// Every key, in one table: what it does, and how the help sheet says it.

import {$, icon, make} from "./dom.js";
import {showBefore, toggleSplit} from "./canvas/compare.js";
import {fit, giveUp, growBrush, paintsByKey, zoomBy} from "./canvas/stage.js";
import {keep, kept} from "./kept.js";
import {redo, undo} from "./session.js";
import {set, state} from "./state.js";
import {PAINTS, TOOLS} from "./tools.js";
import {step, toggle, togglePlay} from "./transport.js";

const KEPT = "stylecine.letters";
const MAC = navigator.platform.startsWith("Mac");
const PRESSED = "button, select, a, input:not([type=range], [type=radio]:checked)";  // by Space
const CTRL = MAC ? "⌘" : "Ctrl";

/** `commands`: openFile, save, exportLoop. */
export function beginShortcuts(commands) {
  const groups = table(commands);
  addEventListener("keydown", event => pressed(event, groups));
  addEventListener("keyup", event => {
    if (event.key.toLowerCase() === "b") showBefore(false);
  });
  addEventListener("blur", () => showBefore(false));
  $("help").addEventListener("click", () => showHelp(groups));
  if (MAC) for (const tip of document.querySelectorAll("[data-keys]")) tip.dataset.keys = tip.dataset.keys.replace("Ctrl", CTRL);
}

/** {keys, does, run, match}: `match` where the key is not the first of `keys`; `letter` where it can be turned off. */
function table({openFile, save, exportLoop}) {
  const key = (keys, does, run, more = {}) => ({keys: [keys].flat(), does, run, ...more});
  const ctrl = (letter, does, run, shift = false) =>
    ({keys: shift ? [CTRL, "Shift", letter] : [CTRL, letter], does, run, ctrl: true, shift, match: [letter.toLowerCase()]});
  return {
    "The loop": [
      key("Space", "Play or pause", togglePlay, {match: [" "]}),
      key([",", "."], "A frame back, a frame on", event => step(event.key === "," ? -1 : 1)),
      key("B", "Hold: the photo as it was", () => showBefore(true)),
      key("C", "Compare before and after", toggleSplit),
      key("M", "Mask: what moves", () => toggle("mask")),
      key("D", "Directions of the flow", () => toggle("flow")),
    ],
    Tools: [
      ...TOOLS.map(({key: letter, id, name}) => key(letter.toUpperCase(), name, () => set({tool: id}))),
      key(["1", "–", "5"], "Paint sky, water, falls, smoke, cloth", event => {
        set({tool: "paint", what: Object.keys(PAINTS)[event.key - 1]});
      }, {match: ["1", "2", "3", "4", "5"]}),
      key(["[", "]"], "A thinner, a wider brush", event => growBrush(event.key === "[" ? 1 / 1.15 : 1.15)),
      {keys: ["Shift", "Wheel"], does: "The same with the mouse"},
    ],
    "The wind dial": [
      {keys: ["←", "→"], does: "Turn the wind; with Shift further"},
      {keys: ["↑", "↓"], does: "Stronger, weaker"},
    ],
    "On the picture": [
      {keys: ["Tab"], does: "To the picture and on"},
      {keys: ["↑", "↓", "←", "→"], does: "Move the brush; with Shift further, with Alt finer"},
      {keys: ["Enter"], does: "Begin and end a stroke or an arrow; Space too"},
      key("Esc", "Give up what is being drawn", giveUp, {match: ["escape"]}),
      key(["+", "−"], "Zoom", event => zoomBy("+=".includes(event.key) ? 1.25 : 0.8), {match: ["+", "=", "-", "−"]}),
      key("0", "Fit the picture into the window", fit),
    ],
    "Your work": [
      ctrl("Z", "Undo", undo),
      ctrl("Z", "Redo", redo, true),
      {...ctrl("Y", "Redo", redo), hidden: true},
      ctrl("S", "Save as a .cine file", save),
      ctrl("O", "Open a photo or a .cine file", openFile),
      key("X", "Export", exportLoop),
      key("?", "This sheet", () => $("help").click()),
    ],
  };
}

function pressed(event, groups) {
  if (document.querySelector("dialog[open]") || event.defaultPrevented) return;
  const entry = Object.values(groups).flat().find(entry => entry.run && fits(entry, event));
  if (!entry || (state.phase !== "ready" && entry.keys[0] !== "?" && entry.keys.at(-1) !== "O")) return;
  if (!entry.ctrl && isTaken(event)) return;
  if (entry.run(event) !== false) event.preventDefault();
}

function fits({ctrl = false, shift = false, match, keys}, event) {
  if (ctrl !== (event.ctrlKey || event.metaKey) || (ctrl && shift !== event.shiftKey)) return false;
  return (match ?? keys.map(key => key.toLowerCase())).includes(event.key.toLowerCase());
}

/** Whether the key belongs to the control that has the focus, or letters are turned off. */
function isTaken({key, target, altKey}) {
  const space = key === " ";
  if (altKey) return true;
  if (space && (paintsByKey() || target.closest(PRESSED))) return true;
  if (target.closest("select, input:not([type=range], [type=radio], [type=checkbox])")) return true;
  return key.length === 1 && !space && kept(KEPT) === "off";
}

function showHelp(groups) {
  const dialog = $("help-dialog");
  const sections = Object.entries(groups).map(([title, entries]) =>
    make("section", {}, make("h3", {}, title), make("dl", {}, ...entries.filter(entry => !entry.hidden).flatMap(row))));
  const close = make("button", {className: "quiet icon-only", type: "button", ariaLabel: "Close"}, icon("close"));
  close.addEventListener("click", () => dialog.close());
  dialog.replaceChildren(
    make("div", {className: "dialog-head"}, make("h2", {id: "help-title"}, "Keys and gestures"), close),
    make("div", {className: "dialog-body", tabIndex: 0}, make("div", {className: "sheet"}, ...sections, touchSection()), lettersSwitch()),
  );
  dialog.showModal();
}

function row({keys, does}) {
  const shown = keys.map(key => key === "–" ? key : make("kbd", {}, key));
  return [make("dt", {}, ...shown), make("dd", {}, does)];
}

function touchSection() {
  const rows = [["One finger", "Draws with the tool"], ["Two fingers", "Zoom and move the picture"]];
  const list = rows.flatMap(([what, does]) => [make("dt", {}, what), make("dd", {}, does)]);
  return make("section", {}, make("h3", {}, "By touch"), make("dl", {}, ...list));
}

function lettersSwitch() {
  const input = make("input", {type: "checkbox", checked: kept(KEPT) !== "off"});
  input.addEventListener("change", () => keep(KEPT, input.checked ? "on" : "off"));
  return make("label", {className: "switch"}, make("span", {}, "Single letters and signs are shortcuts"), input);
}
