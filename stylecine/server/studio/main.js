// Starts the page, and shows its phase.

import {Player, PlayerError} from "/player/player.js";
import {photoURL} from "./api.js";
import {initCompare, placeDivider} from "./canvas/compare.js";
import {initStage, shortSideOnScreen} from "./canvas/stage.js";
import {initStillPhoto} from "./canvas/still-photo.js";
import {initChanges} from "./changes.js";
import {initCheck} from "./check-view.js";
import {scheduleCheck} from "./connection.js";
import {$, debounced} from "./dom.js";
import {initExplain, openExplanation} from "./explain.js";
import {initExport, openExport} from "./export-dialog.js";
import {showError} from "./notifications.js";
import {initPanel} from "./panel.js";
import {initPlayback, setPlaying} from "./playback.js";
import {mayLeave, save} from "./saving.js";
import {initSeamView} from "./seam-view.js";
import {adaptSize, initSession, isMade, redo, sync, undo} from "./session.js";
import {warmupLoop} from "./shader-warmup.js";
import {initShortcuts} from "./shortcuts.js";
import {chooseFile, initStartPage} from "./start-page.js";
import {isDirty, set, state, watch} from "./state.js";
import {initStylePanel} from "./style-panel.js";
import {initTheme} from "./theme.js";
import {initTools} from "./tools.js";
import {initTooltips} from "./tooltips.js";
import {initWindDial} from "./wind-dial.js";

async function init() {
  initTheme();
  initTooltips();
  initStartPage();
  initBar();
  initTools();
  initPanel();
  initStylePanel();
  initWindDial();
  initCompare();
  initStillPhoto();
  initExplain();
  initChanges();
  initCheck();
  initExport();
  initShortcuts({openFile: chooseFile, save, exportLoop: openExport, explain: openExplanation});
  scheduleCheck();
  const resize = debounced(sync, 600);  // another size of the window may need another size of the loop
  initStage(viewport => { placeDivider(viewport); resize(); });
  watch(["phase"], showPhase);
  watch(["phase", "scene"], showPhoto);
  await new Promise(done => setTimeout(done));  // let the page draw before WebGL starts
  const player = await createPlayer();
  if (!player) return;
  warmupLoop().then(loop => player.warmUp(loop)).catch(() => {});  // a real loop will report the error
  initPlayback(player, adaptSize);
  initSeamView();
  initSession(player, shortSideOnScreen);
  watch(["fullSize", "phase"], () => sync());
  watch(["phase", "maps"], showLoop);
}

/** Null, after showing a message, if the browser cannot play loops. */
async function createPlayer() {
  try {
    const player = await Player.create($("loop"));
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

function showPhase() {
  const {phase} = state;
  document.body.dataset.phase = phase;
  $("start").hidden = phase !== "start";
  $("editor").hidden = phase === "start";
  $("opening").hidden = phase !== "opening";
  const parts = document.querySelectorAll(".tools, .playback, .options, .panel, .stage-footer, .strip, .overlay");
  for (const part of parts) part.inert = phase !== "ready";
  $("export").disabled = $("save").disabled = $("explain").disabled = phase !== "ready";
  document.title = phase === "ready" ? `${state.name} · stylecine studio` : "stylecine studio";
}

/** As the scene has it, in the place of the file that was opened. */
function showPhoto() {
  if (state.phase !== "ready" || !isMade()) return;
  const url = photoURL(state.scene.id);
  if ($("photo").getAttribute("src") !== url) $("photo").src = url;
}

/** Shows the loop, and a note if it has fewer pixels than the exports. */
function showLoop() {
  const {phase, maps, scene} = state;
  $("loop").hidden = phase !== "ready" || !maps;
  $("preview-note").hidden = phase !== "ready" || !maps || maps.width >= scene.width;
}

function initBar() {
  const actions = {home: closePhoto, undo, redo, open: chooseFile, save};
  for (const [id, run] of Object.entries(actions)) $(id).addEventListener("click", run);
  $("file-actions").addEventListener("click", () => {
    if ($("file-actions").matches(":popover-open")) $("file-actions").hidePopover();
  });
  watch(["past", "future"], () => {
    $("undo").disabled = !state.past.length;
    $("redo").disabled = !state.future.length;
  });
  watch(["name", "phase", "edits", "savedEdits"], () => {
    $("file").hidden = state.phase !== "ready";
    $("file-name").textContent = state.name;
    $("unsaved").hidden = !isDirty();
  });
}

async function closePhoto() {
  if (state.phase !== "ready") return;
  if (!await mayLeave("Leave this photo?", "Leave without saving")) return;
  setPlaying(false);
  set({phase: "start"});
  $("choose").focus({preventScroll: true});
}

init();
