// Explains the loop as it is now on a page of its own, in a new tab: explaining.js waits there for it.

import {$} from "./dom.js";
import {showError} from "./notifications.js";
import {syncedEdits} from "./session.js";
import {renderOptions, state} from "./state.js";

export function initExplain() {
  $("explain").addEventListener("click", openExplanation);
}

/** The tab opens at once, as browsers let only a click or a key open one. */
export async function openExplanation() {
  if (state.phase !== "ready") return;
  const tab = open("/studio/explaining.html");
  if (!tab) {
    showError("The browser has blocked the tab of the explanation; allow this page to open it.");
    return;
  }
  try {
    await syncedEdits();
    const query = String(new URLSearchParams({fps: 30, ...renderOptions(state)}));
    tab.location.replace(`/studio/explaining.html#${new URLSearchParams({scene: state.scene.id, query})}`);
  } catch (error) {
    tab.close();
    showError(error.message);
  }
}
