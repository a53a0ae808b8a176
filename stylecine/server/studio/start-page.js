// Opening a photo by drop, file picker, paste or as an example, and the progress until the picture moves.

import {PlayerError} from "/player/player.js";
import {COMMAND} from "./connection.js";
import {$, button, make} from "./dom.js";
import {announce, showError} from "./notifications.js";
import {isPlaying, setPlaying} from "./playback.js";
import {mayLeave} from "./saving.js";
import {cancelOpening, openFile, openScene} from "./session.js";
import {set, state, watch} from "./state.js";

const EXAMPLES = [
  ["sea", "Sea and sky", "A calm sea at dusk with a rock standing in the water, under drifting clouds"],
  ["waterfall", "Mountain stream", "A stream falling between boulders in low sunlight"],
  ["lake", "Shangri-La lake", "A wide lake reflecting a sky full of clouds, with hills on the far shore"],
];
let openedURL = null;  // of the last file
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

export function initStartPage() {
  for (const example of EXAMPLES) $("examples").append(make("li", {}, exampleButton(example)));
  watch(["phase"], playExamples);
  $("choose").addEventListener("click", chooseFile);
  $("drop").addEventListener("click", event => { if (!event.target.closest("button, label")) chooseFile(); });
  $("picker").addEventListener("change", () => {
    const [file] = $("picker").files;
    $("picker").value = "";
    if (file) openPhoto(file, file.name);
  });
  $("opening-cancel").addEventListener("click", cancelOpening);
  addEventListener("paste", event => {
    const [file] = event.clipboardData?.files ?? [];
    if (file) openPhoto(file, file.name || "pasted.png");
  });
  initDropping();
  const scene = new URLSearchParams(location.search).get("scene");  // given on the command line
  history.replaceState(null, "", location.pathname);
  if (scene) showOpening(() => openScene(scene, showProgress));
}

/** Plays the examples only on the start page, as they would slow down the editor. */
function playExamples() {
  for (const video of $("examples").querySelectorAll("video")) {
    if (state.phase !== "start") video.pause();
    else if (!reducedMotion.matches) video.play().catch(() => {});  // interrupted by the next pause
  }
}

export function chooseFile() {
  $("picker").click();
}

function exampleButton([id, name, alt]) {
  const url = `/studio/examples/${id}`;
  const image = make("img", {src: `${url}.webp`, alt: ""});
  const video = make("video", {
    ...{src: `${url}.mp4`, muted: true, loop: true, playsInline: true, preload: "metadata"},
    ...{"aria-hidden": "true", tabIndex: -1, disablePictureInPicture: true},
  });
  const open = async () => {
    const photo = await fetch(`${url}.webp`).catch(() => null);
    if (photo?.ok) openPhoto(await photo.blob(), `${id}.webp`);
    else showProblem(`The studio's server is not responding. Start it again with “${COMMAND}”.`);
  };
  const made = button("example", open, image, video, make("span", {className: "name"}, name));
  made.ariaLabel = `Example: ${name}. ${alt}`;
  return made;
}

/** Opens a file of any type. */
async function openPhoto(file, name) {
  const reason = blockedReason();
  if (reason) {
    showProblem(reason);
    return;
  }
  if (!await mayLeave("Open another photo?", "Open without saving")) return;
  if (openedURL) URL.revokeObjectURL(openedURL);
  $("photo").src = openedURL = URL.createObjectURL(file);
  await showOpening(() => openFile({file, name, size: $("work-size").value}, showProgress));
}

/** Why nothing can be opened now, or null. */
function blockedReason() {
  if (document.querySelector("dialog[open]")) return "Close the dialog before you open another photo.";
  if (state.phase === "opening") return "Another photo is being opened; wait for it, or cancel it.";
  return null;
}

/** Shows the progress of `open`, then plays the loop; or shows why the photo could not be opened. */
async function showOpening(open) {
  const previous = {phase: state.phase, playing: isPlaying()};
  $("start-problem").hidden = true;
  set({phase: "opening"});
  $("opening-cancel").focus({preventScroll: true});
  if (previous.playing) setPlaying(false);
  try {
    await open();
    setPlaying(!reducedMotion.matches);
    announce(`${state.name} is ready. ${Math.round(100 * (state.scene.moving ?? 0))} percent of it moves.`);
    $("overlay").focus({preventScroll: true});
  } catch (error) {
    goBack(previous, error);
  }
}

function goBack({phase, playing}, error) {
  set({phase});
  if (phase === "start") $("photo").removeAttribute("src");
  $(phase === "start" ? "choose" : "overlay").focus({preventScroll: true});
  if (playing) setPlaying(true);
  if (error.name !== "AbortError") showProblem(explain(error));
}

function explain(error) {
  const {message, name, status} = error;
  if (error instanceof PlayerError || status !== undefined) return message;
  if (name === "ServerGone" || message.includes("server")) return `${message} Start it again with “${COMMAND}”.`;
  console.error(error);
  return "Something went wrong in this page; reload it and try again.";
}

function showProblem(text) {
  if (state.phase !== "start") {
    showError(text, {label: "Choose another", run: chooseFile});
    return;
  }
  $("start-problem").textContent = text;
  $("start-problem").hidden = false;
}

function showProgress(text, share) {
  if ($("opening-text").textContent !== text) announce(text);
  $("opening-text").textContent = text;
  $("opening-fill").style.transform = `scaleX(${share})`;
}

function initDropping() {
  let depth = 0;
  const showTarget = over => {
    $("drop").classList.toggle("over", over);
    $("drop-overlay").hidden = !over || state.phase === "start" || blockedReason() !== null;
  };
  addEventListener("dragenter", event => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    depth += 1;
    showTarget(true);
  });
  addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (!depth) showTarget(false);
  });
  addEventListener("dragover", event => event.preventDefault());
  addEventListener("drop", event => {
    event.preventDefault();
    depth = 0;
    showTarget(false);
    const [file] = event.dataTransfer?.files ?? [];
    if (file) openPhoto(file, file.name);
  });
}
