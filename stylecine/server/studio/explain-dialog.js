// The dialog that explains a loop: it waits for the page, then links to it.

import * as api from "./api.js";
import {fillDialog} from "./dialog.js";
import {$, button, download, make, progressBar, showProgressBar} from "./dom.js";
import {announce} from "./notifications.js";
import {isPlaying, setPlaying} from "./playback.js";
import {syncedEdits} from "./session.js";
import {fileName, renderOptions, state} from "./state.js";

const ABOUT = "A page on what was found in the photo and how surely, what was measured, and what to do about it.";
const POLL_TIME = 600;  // ms between two questions of how far it is
let making = null;  // the AbortController while the page is made
let blobURL = "";  // of the finished page
let wasPlaying = false;  // before the dialog was opened

export function initExplain() {
  $("explain").addEventListener("click", openExplanation);
  $("explain-dialog").addEventListener("close", () => {
    making?.abort();
    URL.revokeObjectURL(blobURL);
    $("explain-dialog").replaceChildren();
    if (wasPlaying && state.phase === "ready") setPlaying(true);
    $("explain").focus();
  });
}

export async function openExplanation() {
  const dialog = $("explain-dialog");
  if (state.phase !== "ready" || dialog.open) return;
  const {signal} = making = new AbortController();
  const showShare = showWaiting();
  wasPlaying = isPlaying();
  setPlaying(false);  // the work needs the machine
  dialog.showModal();
  try {
    await syncedEdits();
    const {id} = state.scene;
    followProgress(id, signal, showShare);
    const query = String(new URLSearchParams({fps: 30, ...renderOptions(state)}));
    const page = await api.readExplanation(id, query, signal);
    if (!signal.aborted) showPage(page, api.explanationURL(id, query));
  } catch (error) {
    if (!signal.aborted) showFailure(error.message);
  } finally {
    if (making?.signal === signal) making.abort();  // nothing more is asked
  }
}

async function followProgress(id, signal, showShare) {
  while (!signal.aborted) {
    const progress = await api.readExplanationProgress(id).catch(() => null);  // the page's own request will report it
    if (progress && !signal.aborted) showShare(progress.share);
    await new Promise(done => setTimeout(done, POLL_TIME));
  }
}

function show(body, footer) {
  fillDialog($("explain-dialog"), "Explain this loop", [make("div", {className: "export-status"}, ...body)], {footer});
}

/** Returns a function that shows the share that is done. */
function showWaiting() {
  const bar = progressBar("explain-bar", "Explanation");
  const status = make("p", {role: "status"}, "Looking at the loop again…");
  show([status, bar, make("p", {className: "hint"}, ABOUT)], []);
  return share => showProgressBar(bar, share);
}

/** The link's address is the service's, and the browser has it in its cache; a blob would have this page's policy. */
function showPage(page, href) {
  blobURL = URL.createObjectURL(page);
  const link = make("a", {href, target: "_blank", rel: "noopener", id: "explanation-link"}, "Open the page");
  const save = button("outline", () => download(blobURL, fileName("explained.html")), "Save it");
  show([make("p", {role: "status"}, "The page is ready. ", link), make("p", {className: "hint"}, ABOUT)], [save]);
  link.focus();
  announce("The page is ready");
}

function showFailure(text) {
  const again = button("primary", () => { $("explain-dialog").close(); openExplanation(); }, "Try again");
  show([make("p", {role: "alert"}, text)], [again]);
  again.focus();
}
