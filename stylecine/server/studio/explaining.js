// Waits, in a tab of its own, for the page that explains a loop, and becomes that page. #scene=ID&query=... tells which.

import * as api from "./api.js";
import {$, showProgressBar} from "./dom.js";

const POLL_TIME = 600;  // ms between two questions of how far it is

addEventListener("hashchange", wait);  // the studio opens the tab before it knows the loop
$("again").addEventListener("click", () => location.reload());
wait();

async function wait() {
  const {scene, query} = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  if (!scene) return;
  const asking = new AbortController();
  followProgress(scene, asking.signal);
  try {
    await api.readExplanation(scene, query, asking.signal);
    location.replace(api.explanationURL(scene, query));  // the browser has it in its cache
  } catch (error) {
    $("status").textContent = error.message;
    $("bar").hidden = true;
    $("again").hidden = false;
  } finally {
    asking.abort();
  }
}

async function followProgress(scene, signal) {
  while (!signal.aborted) {
    const progress = await api.readExplanationProgress(scene).catch(() => null);  // the page's own request will report it
    if (progress && !signal.aborted) showProgressBar($("bar"), progress.share);
    await new Promise(done => setTimeout(done, POLL_TIME));
  }
}
