// Saves the photo with its changes as a .cine file.

import {askBeforeLeaving} from "./dialog.js";
import {download} from "./dom.js";
import {announce, showError} from "./notifications.js";
import {cineFile} from "./session.js";
import {fileName, isDirty, state} from "./state.js";

/** Returns whether the file was made. */
export async function save() {
  if (state.phase !== "ready") return false;
  try {
    const url = URL.createObjectURL(await cineFile());
    const name = fileName("cine");
    download(url, name);
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    announce(`Saved ${name}`);
    return true;
  } catch (error) {
    showError(error.message, {label: "Try again", run: save});
    return false;
  }
}

/** Whether the open photo may be left: it has no unsaved changes, they are saved now, or the user lets them go. */
export async function mayLeave(title, leave) {
  if (!isDirty()) return true;
  const answer = await askBeforeLeaving(title, leave);
  return answer === "leave" || answer === "save" && await save();
}
