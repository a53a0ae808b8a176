// Checks whether the server responds. If it does not, the page says so and keeps trying.

import {isServerUp} from "./api.js";
import {$} from "./dom.js";
import {announce} from "./notifications.js";

const INTERVAL = 5000, RETRY_INTERVAL = 1500;  // ms between two checks, while it responds and while it does not
let lost = false, timer = 0;
const waiting = new Set();

/** The command that starts a server where this page looks for it. */
export const COMMAND = `stylecine studio --port ${location.port}`;

export function isLost() {
  return lost;
}

/** Calls `work` as soon as the server responds again. */
export function onReconnect(work) {
  waiting.add(work);
}

export function scheduleCheck() {
  clearTimeout(timer);
  timer = setTimeout(check, lost ? RETRY_INTERVAL : INTERVAL);
}

async function check() {
  if (!document.hidden && await isServerUp() === lost) lost ? reportBack() : reportLost();
  scheduleCheck();
}

/** To be called if the server did not respond. */
export function reportLost() {
  if (lost) return;
  lost = true;
  $("banner").textContent = "The studio's server is not responding. Your changes are kept in this page, which keeps" +
    ` trying. If you stopped the server, run “${COMMAND}”.`;
  $("banner").hidden = false;
  scheduleCheck();
}

function reportBack() {
  lost = false;
  $("banner").hidden = true;
  announce("The server is back");
  const works = [...waiting];
  waiting.clear();
  for (const work of works) work();
}
