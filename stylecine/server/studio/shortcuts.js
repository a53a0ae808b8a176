// The table of all keyboard shortcuts, with their entries in the help dialog.

import {showBefore, toggleSplit} from "./canvas/compare.js";
import {cancelGesture, fit, isPaintingByKey, scaleBrush, zoomBy} from "./canvas/stage.js";
import {focusChanges} from "./changes.js";
import {closeCheck, toggleCheck} from "./check-view.js";
import {NAMES, TOOLS} from "./declared.js";
import {fillDialog} from "./dialog.js";
import {$, make} from "./dom.js";
import {step, toggleOverlay, togglePlay} from "./playback.js";
import {closeSeam, toggleSlow} from "./seam-view.js";
import {redo, undo} from "./session.js";
import {set, state} from "./state.js";
import {loadSetting, storeSetting} from "./storage.js";

const SETTING = "stylecine.letters";
const USES_SPACE = "button, select, a, input:not([type=range], [type=radio]:checked)";
const CTRL = navigator.platform.startsWith("Mac") ? "⌘" : "Ctrl";

/** `commands`: openFile, save, exportLoop, explain. */
export function initShortcuts(commands) {
  const groups = shortcutTable(commands);
  addEventListener("keydown", event => handleKey(event, groups));
  addEventListener("keyup", event => {
    if (event.key.toLowerCase() === "b") showBefore(false);
  });
  addEventListener("blur", () => showBefore(false));
  $("help").addEventListener("click", () => showHelp(groups));
  for (const {dataset} of document.querySelectorAll("[data-keys]")) dataset.keys = dataset.keys.replace("Ctrl", CTRL);
}

/** By section; `match` has the values of `event.key`, if they are not those of `keys` in lower case. */
function shortcutTable({openFile, save, exportLoop, explain}) {
  const classes = Object.keys(NAMES), digits = classes.map((_, index) => String(index + 1));
  const key = (keys, label, run, match) => ({keys: [keys].flat(), label, run, match});
  const ctrl = (letter, label, run, shift = false) => {
    const keys = shift ? [CTRL, "Shift", letter] : [CTRL, letter];
    return {keys, label, run, ctrl: true, shift, match: [letter.toLowerCase()]};
  };
  return {
    Playback: [
      key("Space", "Play or pause", togglePlay, [" "]),
      key([",", "."], "Previous, next frame", event => step(event.key === "," ? -1 : 1)),
      key("W", "Seam: play with it in the middle", () => set({seam: !state.seam})),
      key("H", "Half speed at the seam", toggleSlow),
      key("B", "Hold to see the original", () => showBefore(true)),
      key("C", "Compare before and after", toggleSplit),
      key("M", "Mask: what moves", () => toggleOverlay("mask")),
      key("D", "Flow: direction of motion", () => toggleOverlay("flow")),
      key("K", "Check what the mask is unsure of", toggleCheck),
    ],
    Tools: [
      ...TOOLS.map(({key: letter, id, name}) => key(letter.toUpperCase(), name, () => set({tool: id}))),
      key(["1", "–", digits.at(-1)], `Paint ${classes.join(", ")}`, event => {
        set({tool: "paint", paintClass: classes[event.key - 1]});
      }, digits),
      key(["[", "]"], "Smaller, larger brush", event => scaleBrush(event.key === "[" ? 1 / 1.15 : 1.15)),
      key(["Shift", "Wheel"], "Brush size with the mouse"),
    ],
    "Wind dial": [
      key(["←", "→"], "Turn the wind; Shift: faster"),
      key(["↑", "↓"], "Stronger, weaker"),
    ],
    "On the picture": [
      key("Tab", "Move the focus to the picture and on"),
      key(["↑", "↓", "←", "→"], "Move the brush; Shift: faster, Alt: slower"),
      key("Enter", "Start or end a stroke or an arrow; or Space"),
      key("Esc", "Cancel the stroke, or close Check or Seam", () => cancelGesture() || closeCheck() || closeSeam(), ["escape"]),
      key(["+", "−"], "Zoom", event => zoomBy("+=".includes(event.key) ? 1.25 : 0.8), ["+", "=", "-", "−"]),
      key("0", "Fit to window", fit),
    ],
    General: [
      ctrl("Z", "Undo", undo),
      ctrl("Z", "Redo", redo, true),
      {...ctrl("Y", "Redo", redo), hidden: true},
      key("Z", "All changes, to go back to one", focusChanges),
      ctrl("S", "Save as a .cine file", save),
      ctrl("O", "Open a photo or a .cine file", openFile),
      key("X", "Export", exportLoop),
      key("I", "Explain this loop", explain),
      key("?", "Show this help", () => $("help").click()),
    ],
  };
}

function handleKey(event, groups) {
  if (document.querySelector("dialog[open]") || event.defaultPrevented) return;
  const shortcut = Object.values(groups).flat().find(entry => entry.run && matches(entry, event));
  if (!shortcut || (state.phase !== "ready" && shortcut.keys[0] !== "?" && shortcut.keys.at(-1) !== "O")) return;
  if (!shortcut.ctrl && isTaken(event)) return;
  if (shortcut.run(event) !== false) event.preventDefault();
}

function matches({ctrl = false, shift = false, match, keys}, event) {
  if (ctrl !== (event.ctrlKey || event.metaKey) || (ctrl && shift !== event.shiftKey)) return false;
  return (match ?? keys.map(key => key.toLowerCase())).includes(event.key.toLowerCase());
}

/** Whether the key belongs to the focused control, or single-letter shortcuts are off. */
function isTaken({key, target, altKey}) {
  const space = key === " ";
  if (altKey) return true;
  if (space && (isPaintingByKey() || target.closest(USES_SPACE))) return true;
  if (target.closest("select, input:not([type=range], [type=radio], [type=checkbox])")) return true;
  return key.length === 1 && !space && loadSetting(SETTING) === "off";
}

function showHelp(groups) {
  const rows = entries => entries.filter(entry => !entry.hidden).map(({keys, label}) =>
    [keys.map(key => key === "–" ? key : make("kbd", {}, key)), label]);
  const touch = [[["One finger"], "Draws with the tool"], [["Two fingers"], "Zoom and move the picture"]];
  const sections = [...Object.entries(groups).map(([title, entries]) => [title, rows(entries)]), ["Touch", touch]];
  const sheet = make("div", {className: "shortcuts"}, ...sections.map(([title, rows]) =>
    make("section", {}, make("h3", {}, title), make("dl", {}, ...rows.flatMap(([keys, label]) =>
      [make("dt", {}, ...keys), make("dd", {}, label)])))));
  fillDialog($("help-dialog"), "Keyboard and touch", [sheet, letterSwitch()]);
  $("help-dialog").querySelector(".dialog-body").tabIndex = 0;  // so that keys can scroll it
  $("help-dialog").showModal();
}

function letterSwitch() {
  const input = make("input", {type: "checkbox", checked: loadSetting(SETTING) !== "off"});
  input.addEventListener("change", () => storeSetting(SETTING, input.checked ? "on" : "off"));
  return make("label", {className: "switch"}, make("span", {}, "Single-key shortcuts"), input);
}
