// Begins everything, and shows what phase the page is in.

import {Player, PlayerError} from "/player/player.js";
import {tinyLoop} from "./warm.js";
import {say, showError} from "./announce.js";
import {photoOf} from "./api.js";
import {ask} from "./ask.js";
import {beginCompare, placeDivider} from "./canvas/compare.js";
import {beginStage, shortSide} from "./canvas/stage.js";
import {beginConnection} from "./connection.js";
import {$, debounced, download} from "./dom.js";
import {beginExport, openExport} from "./export.js";
import {beginPanel} from "./panel.js";
import {beginSession, pace, redo, saved, sync, undo} from "./session.js";
import {beginShortcuts} from "./shortcuts.js";
import {beginStart, choose} from "./start.js";
import {fileName, isDirty, set, state, watch} from "./state.js";
import {beginTheme} from "./theme.js";
import {beginTips} from "./tips.js";
import {beginTools} from "./tools.js";
import {beginTransport, play} from "./transport.js";
import {beginWind} from "./wind.js";

async function begin() {
  beginTheme();
  beginTips();
  beginStart();
  beginBar();
  beginTools();
  beginPanel();
  beginWind();
  beginCompare();
  beginExport();
  beginShortcuts({openFile: choose, save, exportLoop: openExport});
  beginConnection();
  const finer = debounced(sync, 600);  // the window or the zoom may ask for another size of the loop
  beginStage(view => { placeDivider(view); finer(); });
  watch(["phase"], showPhase);
  await new Promise(done => setTimeout(done));  // the page is drawn before the graphics are made ready
  const player = await madePlayer();
  if (!player) return;
  tinyLoop().then(given => player.rehearse(given)).catch(() => {});  // what is wrong will be told of a photo
  beginTransport(player, pace);
  beginSession(player, shortSide);
  watch(["full", "phase"], () => sync());
  watch(["phase", "maps"], showPreviewNote);
  watch(["phase", "maps"], () => { $("live").hidden = state.phase !== "ready" || !state.maps; });
}

/** Null, with a word about it, where the browser cannot play a loop. */
async function madePlayer() {
  try {
    const player = await Player.create($("live"));
    player.onerror = error => showError(error.message);
    return player;
  } catch (error) {
    if (!(error instanceof PlayerError)) throw error;
    $("start-problem").textContent = error.message;
    $("start-problem").hidden = false;
    $("choose").disabled = true;
    return null;
  }
}

/** The loop on the screen may have fewer pixels than the photo, which exports have all of. */
function showPreviewNote() {
  const {phase, maps, scene} = state;
  $("preview-note").hidden = phase !== "ready" || !maps || maps.width >= scene.width;
}

function showPhase() {
  const {phase} = state;
  document.body.dataset.phase = phase;
  $("start").hidden = phase !== "start";
  $("work").hidden = phase === "start";
  $("opening").hidden = phase !== "opening";
  for (const part of document.querySelectorAll(".tools, .transport, .options, .panel, .zoom, .marks")) part.inert = phase !== "ready";
  $("export").disabled = $("save").disabled = phase !== "ready";
  document.title = phase === "ready" ? `${state.name} · stylecine studio` : "stylecine studio";
  if (phase === "ready") $("still").src = photoOf(state.scene.id);
}

function beginBar() {
  $("home").addEventListener("click", startAgain);
  $("undo").addEventListener("click", undo);
  $("redo").addEventListener("click", redo);
  $("open").addEventListener("click", choose);
  $("save").addEventListener("click", save);
  for (const button of $("file-actions").querySelectorAll("button")) {
    button.addEventListener("click", () => { if ($("file-actions").matches(":popover-open")) $("file-actions").hidePopover(); });
  }
  watch(["past", "future"], () => {
    $("undo").disabled = !state.past.length;
    $("redo").disabled = !state.future.length;
  });
  watch(["name", "phase", "edits", "saved"], () => {
    $("file").hidden = state.phase !== "ready";
    $("file-name").textContent = state.name;
    $("unsaved").hidden = !isDirty();
  });
}

async function startAgain() {
  if (state.phase !== "ready") return;
  if (isDirty() && !await ask("Leave this photo?", "The changes to it are not saved.", "Leave without saving")) return;
  play(false);
  set({phase: "start"});
  $("choose").focus({preventScroll: true});
}

async function save() {
  if (state.phase !== "ready") return;
  try {
    const file = URL.createObjectURL(await saved());
    const name = fileName("cine");
    download(file, name);
    setTimeout(() => URL.revokeObjectURL(file), 60_000);
    say(`Saved ${name}`);
  } catch (error) {
    showError(error.message, {words: "Try again", run: save});
  }
}

begin();
