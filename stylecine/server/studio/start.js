// The ways in: drop, choose, paste, an example; and what is shown until the picture moves.

import {PlayerError} from "/player/player.js";
import {$, make} from "./dom.js";
import {say, showError} from "./announce.js";
import {ask} from "./ask.js";
import {COMMAND} from "./connection.js";
import {open, openScene, stopOpening} from "./session.js";
import {isDirty, set, state, watch} from "./state.js";
import {isPlaying, play} from "./transport.js";

const EXAMPLES = [
  {id: "sea", name: "Sea and sky", alt: "A calm sea at dusk with a rock standing in the water, under drifting clouds"},
  {id: "waterfall", name: "Mountain stream", alt: "A stream that falls between boulders in low sunlight"},
  {id: "lake", name: "Shangri-La lake", alt: "A wide lake that mirrors a sky full of clouds, hills on the far shore"},
];
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export function beginStart() {
  for (const example of EXAMPLES) $("examples").append(make("li", {}, exampleButton(example)));
  watch(["phase"], showFilms);
  $("choose").addEventListener("click", choose);
  $("drop").addEventListener("click", event => { if (!event.target.closest("button, label")) choose(); });
  $("picker").addEventListener("change", () => {
    const [file] = $("picker").files;
    $("picker").value = "";
    if (file) take(file, file.name);
  });
  $("opening-cancel").addEventListener("click", stopOpening);
  addEventListener("paste", event => {
    const file = [...event.clipboardData?.files ?? []][0];
    if (file) take(file, file.name || "pasted.png");
  });
  listenForDrops();
  const given = new URLSearchParams(location.search).get("scene");  // what the studio was started with
  history.replaceState(null, "", location.pathname);
  if (given) moved(() => openScene(given, tell));
}

/** The examples play while they can be seen; unseen they would go on taking time from what is opened. */
function showFilms() {
  for (const film of $("examples").querySelectorAll("video")) {
    if (state.phase !== "start") film.pause();
    else if (!calm.matches) film.play().catch(() => {});  // broken off by the next pause
  }
}

/** Asks for a file. */
export function choose() {
  $("picker").click();
}

function exampleButton({id, name, alt}) {
  const file = `/studio/examples/${id}`;
  const still = make("img", {src: `${file}-small.jpg`, alt: ""});
  const film = make("video", {
    ...{src: `${file}.mp4`, muted: true, loop: true, playsInline: true, preload: "metadata"},
    ...{"aria-hidden": "true", tabIndex: -1, disablePictureInPicture: true},
  });
  const label = `Example: ${name}. ${alt}`;
  const button = make("button", {className: "example", type: "button", ariaLabel: label}, still, film, make("span", {className: "name"}, name));
  button.addEventListener("click", async () => {
    const photo = await fetch(`${file}.jpg`).catch(() => null);
    if (photo?.ok) take(await photo.blob(), `${id}.jpg`);
    else fail(`The studio's server does not answer. Start it again with “${COMMAND}”.`);
  });
  return button;
}

/** Opens a file, whatever it turns out to be. */
async function take(file, name) {
  const words = hindrance();
  if (words) {
    fail(words);
    return;
  }
  if (isDirty() && !await ask("Open another photo?", "The changes to this one are not saved.", "Open without saving")) return;
  const url = URL.createObjectURL(file);
  $("still").src = url;
  await moved(() => open({file, name, size: $("work-size").value}, tell));
  URL.revokeObjectURL(url);
}

/** Why nothing can be opened right now; null: it can. */
function hindrance() {
  if (document.querySelector("dialog[open]")) return "Another photo can be opened once the dialog is closed.";
  if (state.phase === "opening") return "Another photo can be opened once this one is there, or is cancelled.";
  return null;
}

/** Shows what `opens` opens, or why it could not. */
async function moved(opens) {
  const before = {phase: state.phase, playing: isPlaying()};
  $("start-problem").hidden = true;
  set({phase: "opening"});
  $("opening-cancel").focus({preventScroll: true});
  if (before.playing) play(false);
  try {
    await opens();
    play(!calm.matches);
    say(`${state.name} moves. ${Math.round(100 * (state.scene.moving ?? 0))} percent of it was found to move.`);
    $("marks").focus({preventScroll: true});
  } catch (error) {
    giveUp(before, error);
  }
}

/** Back to where one was. */
function giveUp({phase, playing}, error) {
  set({phase});
  if (phase === "start") $("still").removeAttribute("src");
  $(phase === "start" ? "choose" : "marks").focus({preventScroll: true});
  if (playing) play(true);
  if (error.name !== "AbortError") fail(sentence(error));
}

function sentence(error) {
  if (error instanceof PlayerError || error.status !== undefined) return error.message;
  if (error.name === "ServerGone" || error.message.includes("server")) return `${error.message} Start it again with “${COMMAND}”.`;
  console.error(error);
  return "Something went wrong in the page; reload it and try again.";
}

function fail(words) {
  if (state.phase !== "start") {
    showError(words, {words: "Choose another", run: choose});
    return;
  }
  $("start-problem").textContent = words;
  $("start-problem").hidden = false;
}

function tell(words, share) {
  if ($("opening-words").textContent !== words) say(words);
  $("opening-words").textContent = words;
  $("opening-fill").style.transform = `scaleX(${share})`;
}

function listenForDrops() {
  let depth = 0;
  const over = is => {
    $("drop").classList.toggle("over", is);
    $("curtain").hidden = !is || state.phase === "start" || hindrance() !== null;
  };
  addEventListener("dragenter", event => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    depth += 1;
    over(true);
  });
  addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (!depth) over(false);
  });
  addEventListener("dragover", event => event.preventDefault());
  addEventListener("drop", event => {
    event.preventDefault();
    depth = 0;
    over(false);
    const [file] = event.dataTransfer?.files ?? [];
    if (file) take(file, file.name);
  });
}
