// Playing: play and pause, the place in the loop, overlays, and whether this machine keeps up.

import {$, fill, setIcon} from "./dom.js";
import {set, state, watch} from "./state.js";

const COUNTED = 24;  // frames, and the first few of a new loop are not
const UNCOUNTED = 6;

let player = null;
let told = () => {};
let times = [];
let scrubbed = false;

/** `pace` is told every now and then how many ms a frame takes. */
export function beginTransport(itsPlayer, pace) {
  player = itsPlayer;
  told = pace;
  player.onframe = showTime;
  $("play").addEventListener("click", togglePlay);
  const scrub = $("scrub");
  scrub.addEventListener("input", () => {
    scrubbed ||= player.playing;
    player.pause();
    player.seek(Number(scrub.value) * player.period * 0.99999);
  });
  scrub.addEventListener("change", () => {
    if (scrubbed) player.play();
    scrubbed = false;
  });
  for (const name of ["mask", "flow"]) {
    $(name).addEventListener("click", () => toggle(name));
    watch([name], () => $(name).setAttribute("aria-pressed", String(state[name])));
  }
  watch(["maps"], () => { times = []; });
  fill(scrub);
  document.addEventListener("visibilitychange", () => { times = []; });
}

export function toggle(overlay) {
  set({[overlay]: !state[overlay]});
}

export function play(wanted) {
  wanted ? player.play() : player.pause();
  if (!wanted) showTime(player.time);
  times = [];
  setIcon($("play"), wanted ? "pause" : "play");
  $("play").setAttribute("aria-label", wanted ? "Pause" : "Play");
}

export function isPlaying() {
  return player?.playing ?? false;  // there is none before the graphics are ready
}

export function togglePlay() {
  play(!player.playing);
}

/** Goes on by some frames, and stays there. */
export function step(frames) {
  play(false);
  player.seek(player.time + frames);
}

function showTime(time) {
  const share = time / player.period;
  const seconds = player.period / player.fps;
  const scrub = $("scrub");
  scrub.value = share;
  fill(scrub);
  const words = `${(share * seconds).toFixed(1)} / ${seconds.toFixed(1)} s`;
  if ($("clock").textContent !== words) $("clock").textContent = words;
  const spoken = `${(share * seconds).toFixed(player.playing ? 0 : 1)} of ${Number(seconds.toFixed(1))} seconds`;  // once a second will do
  if (scrub.ariaValueText !== spoken) scrub.ariaValueText = spoken;
  if (player.playing) count();
}

function count() {
  times.push(performance.now());
  if (times.length <= UNCOUNTED + COUNTED) return;
  const frame = (times.at(-1) - times[UNCOUNTED]) / COUNTED;
  times = [];
  if (!document.hidden) told(frame);
}
