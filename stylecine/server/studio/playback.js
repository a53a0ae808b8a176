// Playback: play and pause, the position in the loop, and whether this machine keeps up.

import {$, fillTrack, setIcon} from "./dom.js";
import {set, state, watch} from "./state.js";

const [SKIPPED, COUNTED] = [6, 24];  // frames of a new loop for the mean

let player = null;
let onFrameTime = () => {};
let times = [];
let resumeAfterScrub = false;

/** Calls `reportFrameTime` from time to time with the mean duration of a frame in ms. */
export function initPlayback(loopPlayer, reportFrameTime) {
  player = loopPlayer;
  onFrameTime = reportFrameTime;
  player.onframe = showTime;
  $("play").addEventListener("click", togglePlay);
  const scrub = $("scrub");
  scrub.addEventListener("input", () => {
    resumeAfterScrub ||= player.playing;
    player.pause();
    player.seek(Number(scrub.value) * player.period * 0.99999);
  });
  scrub.addEventListener("change", () => {
    if (resumeAfterScrub) player.play();
    resumeAfterScrub = false;
  });
  for (const name of ["mask", "flow"]) {
    $(name).addEventListener("click", () => toggleOverlay(name));
    watch([name], () => $(name).setAttribute("aria-pressed", String(state[name])));
  }
  watch(["maps"], () => { times = []; });
  fillTrack(scrub);
  document.addEventListener("visibilitychange", () => { times = []; });
}

export function toggleOverlay(name) {
  set({[name]: !state[name]});
}

export function setPlaying(playing) {
  playing ? player.play() : player.pause();
  if (!playing) showTime(player.time);
  times = [];
  setIcon($("play"), playing ? "pause" : "play");
  $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
}

export function isPlaying() {
  return player?.playing ?? false;  // null until WebGL is ready
}

export function togglePlay() {
  setPlaying(!player.playing);
}

/** Moves by some frames, and pauses. */
export function step(frames) {
  setPlaying(false);
  player.seek(player.time + frames);
}

function showTime(time) {
  const share = time / player.period;
  const duration = player.period / player.fps;
  const scrub = $("scrub");
  scrub.value = share;
  fillTrack(scrub);
  const text = `${(share * duration).toFixed(1)} / ${duration.toFixed(1)} s`;
  if ($("clock").textContent !== text) $("clock").textContent = text;
  const spoken = (share * duration).toFixed(player.playing ? 0 : 1);  // changes only once a second while it plays
  const spokenTime = `${spoken} of ${Number(duration.toFixed(1))} seconds`;
  if (scrub.ariaValueText !== spokenTime) scrub.ariaValueText = spokenTime;
  if (player.playing) measureFrame();
}

function measureFrame() {
  times.push(performance.now());
  if (times.length <= SKIPPED + COUNTED) return;
  const frameTime = (times.at(-1) - times[SKIPPED]) / COUNTED;
  times = [];
  if (!document.hidden) onFrameTime(frameTime);
}
