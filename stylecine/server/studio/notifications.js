// Messages: on the screen (busy indicator, notice), and only to screen readers.

import {$, setIcon} from "./dom.js";
import {watch} from "./state.js";

const BUSY_DELAY = 700;  // ms after which the indicator appears
let busyText = null, busyTimer = 0;

/** Makes screen readers say something, politely. */
export function announce(text) {
  $("announcer").textContent = "";
  setTimeout(() => { $("announcer").textContent = text; }, 30);
}

/** Shows what is being done, if it takes a while; "": busy without a message; null: not busy. */
export function showBusy(text) {
  busyText = text;
  $("stage").setAttribute("aria-busy", String(text !== null));
  if (!text) {
    clearTimeout(busyTimer);
    busyTimer = 0;
    $("busy").hidden = true;
  } else if (!$("busy").hidden) {
    $("busy").textContent = text;
  } else {
    busyTimer ||= setTimeout(showBusyText, BUSY_DELAY);
  }
}

function showBusyText() {
  busyTimer = 0;
  $("busy").textContent = busyText;
  $("busy").hidden = false;
  announce(busyText);
}

/** Shows an error; `action` {label, run} is a button beside it. */
export function showError(text, action = null) {
  showNotice("alert", "warning", text, action);
}

/** Shows advice that is not an error. */
export function showHint(text, action = null) {
  showNotice("status", "info", text, action);
}

function showNotice(role, icon, text, action) {
  const [notice, button] = [$("notice"), $("notice-action")];
  notice.setAttribute("role", role);
  setIcon(notice, icon);
  $("notice-text").textContent = text;
  button.hidden = !action;
  button.textContent = action?.label ?? "";
  button.onclick = () => { hideNotice(); action.run(); };
  notice.hidden = false;
}

export function hideNotice() {
  $("notice").hidden = true;
}

$("notice-close").addEventListener("click", hideNotice);
// Advice covers a part of the picture, which may be where the new tool is to draw.
watch(["tool"], () => { if ($("notice").getAttribute("role") === "status") hideNotice(); });
