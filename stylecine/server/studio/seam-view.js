// The seam view: the loop with its seam in the middle, at half speed, frame by frame, and the measured seam.

import * as api from "./api.js";
import {$} from "./dom.js";
import {hideNotice} from "./notifications.js";
import {seekBeforeSeam, setPlaying, setRate, step} from "./playback.js";
import {currentLoop} from "./session.js";
import {set, state, watch} from "./state.js";

const LEAD = 1;  // seconds before the seam at which the view begins
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
let measuring = null;  // an AbortController

export function initSeamView() {
  $("seam").addEventListener("click", () => set({seam: !state.seam}));
  $("seam-back").addEventListener("click", () => step(-1));
  $("seam-forward").addEventListener("click", () => step(1));
  $("slow").addEventListener("click", () => set({slow: !state.slow}));
  $("seam-close").addEventListener("click", closeSeam);
  watch(["seam"], showSeam);
  watch(["slow"], () => {
    setRate(state.slow ? 0.5 : 1);
    $("slow").setAttribute("aria-pressed", String(state.slow));
  });
  watch(["seam", "maps"], measure);
}

/** Half speed is for the seam: it is shown as well. */
export function toggleSlow() {
  set({slow: !(state.seam && state.slow), seam: true});
}

/** False if it is not open. */
export function closeSeam() {
  if (!state.seam) return false;
  const focused = $("seam-strip").contains(document.activeElement);
  set({seam: false});
  if (focused) $("seam").focus();
  return true;
}

function showSeam() {
  $("seam").setAttribute("aria-pressed", String(state.seam));
  $("seam-strip").hidden = !state.seam;
  $("scrub").classList.toggle("with-seam", state.seam);
  if (state.seam) {
    hideNotice();
    set({checking: false});
    seekBeforeSeam(LEAD);
    if (!reducedMotion.matches) setPlaying(true);
  } else {
    set({slow: false});
  }
}

/** Asks the server, which takes less than a second, for every new loop. */
async function measure() {
  measuring?.abort();
  if (!state.seam) return;
  const {signal} = measuring = new AbortController();
  const {id, query} = currentLoop();
  const show = text => { if (!signal.aborted) $("seam-measure").textContent = text; };
  if (!state.maps) return show("Nothing moves, so there is none to see.");
  show("Measuring…");
  if (!query) return;  // a first impression, which another loop replaces
  try {
    show(inWords(await api.readSeam(id, query, signal)));
  } catch (error) {
    show(`It could not be measured. ${error.message}`);
  }
}

function inWords({seam, goal: [low, high]}) {
  if (seam === null) return "Too little moves to measure it.";
  const about = `Its step is ${seam.toFixed(3)} times a usual one`;
  if (seam > high) return `${about}, above the goal of ${low} to ${high}: it may be seen as a jump.`;
  if (seam < low) return `${about}, below the goal of ${low} to ${high}: it may be seen as a halt.`;
  return `${about}, within the goal of ${low} to ${high}: no jump.`;
}
