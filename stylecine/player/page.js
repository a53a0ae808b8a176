// A page with one loop: shows its first frame, then plays it unless the reader prefers reduced motion. Its sound, if it
// has one, is off until a click.

import {Player, PlayerError} from "./player.js";
import {Sound} from "./sound.js";

const [canvas, image, button, note] = ["canvas", "img", "button", "p"].map(name => document.querySelector(name));
const [soundButton, soundElement] = ["button.sound", "#sound"].map(name => document.querySelector(name));
const CLICK = 4;  // pixels at most that the pointer moves in one
const KEY_TURN = 1 / 36;  // of all around: by how much an arrow key turns a 360° loop
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
  for (const element of [...document.querySelectorAll("canvas"), button]) element.hidden = true;
  if (soundButton) soundButton.hidden = true;
  image.hidden = false;
  note.textContent = error instanceof PlayerError ? error.message : "The photo cannot move in this browser.";
}

/** Shows the part of a 360° loop that fills the window; dragging and the arrow keys turn it. Returns the canvas that is seen. */
function addView(player) {
  const view = document.createElement("canvas"), context = view.getContext("2d");
  view.setAttribute("role", "img");
  view.ariaLabel = canvas.ariaLabel;
  view.tabIndex = 0;
  canvas.before(view);
  let left = 0, dragged = 0;
  player.onframe = () => {
    const {width, height} = canvas, shown = Math.min(width, Math.round(height * innerWidth / innerHeight));
    if (view.width !== shown || view.height !== height) Object.assign(view, {width: shown, height});
    left = (left % width + width) % width;
    const first = Math.round(left);  // between two pixels the edge would show
    for (const x of [-first, width - first]) context.drawImage(canvas, x, 0);
  };
  const show = () => player.render(player.time);
  const turn = pixels => {
    left += pixels;
    if (!player.playing) show();
  };
  addEventListener("resize", show);
  view.addEventListener("pointerdown", event => {
    view.setPointerCapture(event.pointerId);
    dragged = 0;
  });
  view.addEventListener("pointermove", event => {
    if (!event.buttons) return;
    dragged += Math.abs(event.movementX);
    turn(-event.movementX * Math.max(view.width / view.clientWidth, view.height / view.clientHeight));
  });
  view.addEventListener("keydown", ({key}) => {
    const way = {ArrowLeft: -1, ArrowRight: 1}[key];
    if (way) turn(way * KEY_TURN * canvas.width);
  });
  view.addEventListener("click", event => { if (dragged > CLICK) event.stopImmediatePropagation(); });
  show();
  return view;
}

function setPlaying(player, playing) {
  if (playing) player.play();
  else player.pause();
  button.setAttribute("aria-label", playing ? "Pause" : "Play");
}

/** A button that turns the sound on and off; it pauses with the picture, and goes on where that is. */
function addSound(player) {
  const sound = new Sound(decodeBase64(soundElement.textContent).buffer);
  let on = false;
  const update = () => {
    if (on && player.playing && !document.hidden) {
      sound.start(player.time / player.fps).catch(() => { soundButton.hidden = true; });
    } else {
      sound.stop();
    }
    soundButton.setAttribute("aria-label", on ? "Mute" : "Sound");
  };
  soundButton.addEventListener("click", () => { on = !on; update(); });
  document.addEventListener("visibilitychange", update);
  soundButton.hidden = false;
  update();
  return update;
}

try {
  const player = await Player.create(canvas);
  player.onerror = showError;
  await player.load(await readPackElement(document.getElementById("pack")), imageBlob(image.src));
  image.hidden = true;
  const wraps = "wraps" in canvas.dataset, view = wraps ? addView(player) : canvas;
  view.hidden = button.hidden = false;
  const updateSound = soundElement && addSound(player);
  const play = playing => {
    setPlaying(player, playing);
    updateSound?.();
  };
  play(!reducedMotion.matches);
  reducedMotion.addEventListener("change", () => play(!reducedMotion.matches));
  for (const element of [button, view]) element.addEventListener("click", () => play(!player.playing));
} catch (error) {
  showError(error);
}
