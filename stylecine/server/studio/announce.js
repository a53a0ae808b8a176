// What the page says: to everybody (chip, notice), and to screen readers (said).

import {$} from "./dom.js";

/** Told once, politely, by screen readers. */
export function say(words) {
  const said = $("said");
  said.textContent = "";
  setTimeout(() => { said.textContent = words; }, 30);
}

/** What is being done right now; null: nothing. */
export function showBusy(words) {
  const chip = $("chip");
  if (words && chip.textContent !== words) {
    chip.textContent = words;
    say(words);
  }
  chip.hidden = !words;
  $("stage").setAttribute("aria-busy", String(Boolean(words)));
}

/** Something went wrong: the sentence, and a way on. */
export function showNotice(words, action = null) {
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
