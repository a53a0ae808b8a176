// What the page says: to everybody (chip, notice), and to screen readers (said).

import {$, setIcon} from "./dom.js";

/** Told once, politely, by screen readers. */
export function say(words) {
  const said = $("said");
  said.textContent = "";
  setTimeout(() => { said.textContent = words; }, 30);
}

const PATIENCE = 700;  // ms: what is done sooner is not worth a word
let busy = null, waiting = 0;

/** What is being done right now, told once it has lasted a while; "": what is not worth a word; null: nothing. */
export function showBusy(words) {
  busy = words;
  $("stage").setAttribute("aria-busy", String(words !== null));
  if (!words) {
    clearTimeout(waiting);
    waiting = 0;
    $("chip").hidden = true;
  } else if (!$("chip").hidden) {
    $("chip").textContent = words;
  } else {
    waiting ||= setTimeout(tellBusy, PATIENCE);
  }
}

function tellBusy() {
  waiting = 0;
  $("chip").textContent = busy;
  $("chip").hidden = false;
  say(busy);
}

/** Something went wrong: the sentence, and a way on. */
export function showError(words, action = null) {
  show("alert", words, action);
}

/** Something worth knowing that is no error. */
export function showHint(words, action = null) {
  show("status", words, action);
}

function show(role, words, action) {
  $("notice").setAttribute("role", role);
  setIcon($("notice"), role === "alert" ? "warning" : "info");
  $("notice-words").textContent = words;
  $("notice-action").hidden = !action;
  if (action) {
    $("notice-action").textContent = action.words;
    $("notice-action").onclick = () => { hideNotice(); action.run(); };
  }
  $("notice").hidden = false;
}

export function hideNotice() {
  $("notice").hidden = true;
}

$("notice-close").addEventListener("click", hideNotice);
