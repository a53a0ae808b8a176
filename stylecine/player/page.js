// What a page with one loop does: shows the photo, then plays it, unless the reader would rather have it still.

import {Player, PlayerError} from "./player.js";

const [canvas, photo, button, note] = ["canvas", "img", "button", "p"].map(name => document.querySelector(name));
const still = matchMedia("(prefers-reduced-motion: reduce)");

function bytesOf(base64) { return Uint8Array.from(atob(base64), letter => letter.charCodeAt(0)); }

async function packOf(element) {
  const packed = new Blob([bytesOf(element.textContent)]).stream();
  return new Response(packed.pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
}

function pictureOf(url) {
  const [kind, base64] = url.slice("data:".length).split(";base64,");
  return new Blob([bytesOf(base64)], {type: kind});
}

function tell(error) {
  canvas.hidden = button.hidden = true;
  photo.hidden = false;
  note.textContent = error instanceof PlayerError ? error.message : "The photo cannot move in this browser.";
}

function playing(player, plays) {
  if (plays) player.play();
  else player.pause();
  button.setAttribute("aria-label", plays ? "Pause" : "Play");
}

try {
  const player = await Player.create(canvas);
  player.onerror = tell;
  await player.load(await packOf(document.getElementById("pack")), pictureOf(photo.src));
  photo.hidden = true;
  canvas.hidden = button.hidden = false;
  playing(player, !still.matches);
  still.addEventListener("change", () => playing(player, !still.matches));
  for (const pressed of [button, canvas]) pressed.addEventListener("click", () => playing(player, !player.playing));
} catch (error) {
  tell(error);
}
