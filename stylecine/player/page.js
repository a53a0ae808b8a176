// A page with one loop: shows its first frame, then plays it unless the reader prefers reduced motion.

import {Player, PlayerError} from "./player.js";

const [canvas, image, button, note] = ["canvas", "img", "button", "p"].map(name => document.querySelector(name));
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

function decodeBase64(base64) { return Uint8Array.from(atob(base64), letter => letter.charCodeAt(0)); }

async function readPackElement(element) {
  const packed = new Blob([decodeBase64(element.textContent)]).stream();
  return new Response(packed.pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
}

function imageBlob(url) {
  const [kind, base64] = url.slice("data:".length).split(";base64,");
  return new Blob([decodeBase64(base64)], {type: kind});
}

function showError(error) {
  canvas.hidden = button.hidden = true;
  image.hidden = false;
  note.textContent = error instanceof PlayerError ? error.message : "The photo cannot move in this browser.";
}

function setPlaying(player, playing) {
  if (playing) player.play();
  else player.pause();
  button.setAttribute("aria-label", playing ? "Pause" : "Play");
}

try {
  const player = await Player.create(canvas);
  player.onerror = showError;
  await player.load(await readPackElement(document.getElementById("pack")), imageBlob(image.src));
  image.hidden = true;
  canvas.hidden = button.hidden = false;
  setPlaying(player, !reducedMotion.matches);
  reducedMotion.addEventListener("change", () => setPlaying(player, !reducedMotion.matches));
  for (const element of [button, canvas]) element.addEventListener("click", () => setPlaying(player, !player.playing));
} catch (error) {
  showError(error);
}
