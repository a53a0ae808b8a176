// Whether the server answers; when it does not, the page says so and goes on asking.

import {isThere} from "./api.js";
import {say} from "./announce.js";
import {$} from "./dom.js";

const EVERY = 5000, HURRIED = 1500;  // ms between two questions, while it answers and while it does not
let lost = false, timer = 0;
const waiting = new Set();

/** What starts a server that this page finds. */
export const COMMAND = `stylecine studio --port ${location.port}`;

export function isLost() {
  return lost;
}

/** Has `work` done as soon as the server answers again. */
export function whenBack(work) {
  waiting.add(work);
}

/** Begins to ask. */
export function beginConnection() {
  next();
}

function next() {
  clearTimeout(timer);
  timer = setTimeout(ask, lost ? HURRIED : EVERY);
}

async function ask() {
  if (!document.hidden && await isThere() === lost) lost ? find() : lose();
  next();
}

/** It did not answer. */
export function lose() {
  if (lost) return;
  lost = true;
  $("banner").textContent = "The studio's server does not answer. What you did is kept in this page, which goes on trying;" +
    ` if it was stopped, run “${COMMAND}”.`;
  $("banner").hidden = false;
  next();
}

function find() {
  lost = false;
  $("banner").hidden = true;
  say("The server is back");
  const works = [...waiting];
  waiting.clear();
  for (const work of works) work();
}
