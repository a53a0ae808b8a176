// Playback: play and pause, the position in the loop, and whether this machine keeps up.

import {$, fillTrack, setIcon} from "./dom.js";
import {set, state, watch} from "./state.js";

const [SKIPPED, COUNTED] = [6, 24];  // frames of a new loop for the mean
const TINY = 1e-3;  // frames
const TURNING_INTERVAL = 250;  // ms between two times that are shown while the wind turns: the picture comes first
const [UNHURRIED, DRAFT_INTERVAL] = [25, 300];  // ms a frame; where it takes longer, ms between two while drafts come
const NEAR = 0.25;  // seconds from the seam within which the picture is outlined

let player = null;
let onFrameTime = () => {};
let times = [];
let frameTime = 0;  // the last mean, in ms
let resumeAfterScrub = false;
let shownAt = 0;  // when the time was last shown, in ms

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
    player.seek(shifted(Number(scrub.value) * 0.99999) * player.period);
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
  watch(["turning", "following"], showDrafts);
  watch(["seam"], () => { if (state.phase === "ready") showTime(player.time); });
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

/** Moves to the next frame, or by -1 to the previous one, and pauses. */
export function step(frames) {
  setPlaying(false);
  const from = frames > 0 ? Math.floor(player.time + TINY) : Math.ceil(player.time - TINY);
  player.seek(from + frames);
}

/** Goes to a time before the seam, in seconds, or to half of a shorter loop. */
export function seekBeforeSeam(seconds) {
  player.seek(-Math.min(seconds * player.fps, player.period / 2));
}

/** Draws the frame that is shown, which WebGL keeps only until the browser has shown it. */
export function drawFrame(context, width, height) {
  player.seek(player.time);
  context.drawImage($("loop"), 0, 0, width, height);
}

export function setRate(rate) {
  player.rate = rate;
}

/** A share of the loop as a share of the slider, and the reverse: while the seam is looked at it is in the middle. */
function shifted(share) {
  return state.seam ? (share + 0.5) % 1 : share;
}

function showTime(time) {
  const now = performance.now();
  if (player.playing && state.turning && now - shownAt < TURNING_INTERVAL) return;
  shownAt = now;
  const share = time / player.period;
  const duration = player.period / player.fps;
  const scrub = $("scrub");
  scrub.value = shifted(share);
  fillTrack(scrub);
  const digits = player.playing ? 0 : 1;  // what is spoken changes only once a second while it plays
  const passed = state.seam && share >= 0.5 ? (share - 1) * duration : share * duration;  // since the seam
  const text = state.seam ? `${passed < 0 ? "−" : "+"}${Math.abs(passed).toFixed(2)} s`
    : `${passed.toFixed(1)} / ${duration.toFixed(1)} s`;
  if ($("clock").textContent !== text) $("clock").textContent = text;
  const spokenTime = state.seam
    ? `${Math.abs(passed).toFixed(digits)} seconds ${passed < 0 ? "before" : "after"} the seam`
    : `${passed.toFixed(digits)} of ${Number(duration.toFixed(1))} seconds`;
  if (scrub.ariaValueText !== spokenTime) scrub.ariaValueText = spokenTime;
  $("picture").classList.toggle("at-seam", state.seam && Math.abs(passed) < NEAR);
  if (player.playing && !state.turning) measureFrame();
}

/**
 * While the wind turns on a machine that draws slowly, frames are small, and while drafts come, few but the first in
 * each wind are drawn, which leaves time for the next.
 */
function showDrafts() {
  const hurried = state.turning && frameTime > UNHURRIED;
  player.interval = hurried && state.following ? DRAFT_INTERVAL : 0;
  player.halfSize = hurried;
  times = [];
  set({hurried});
}

function measureFrame() {
  times.push(performance.now());
  if (times.length <= SKIPPED + COUNTED) return;
  frameTime = (times.at(-1) - times[SKIPPED]) / COUNTED;
  times = [];
  if (!document.hidden) onFrameTime(frameTime);
}
