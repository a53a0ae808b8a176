// The style of the whole loop: the photo in every appearance, how strong it is, and whether it drifts.

import {stylesURL} from "./api.js";
import {OPTIONS} from "./declared.js";
import {$, make, rangeInput, showSlider, sliderField} from "./dom.js";
import {showError} from "./notifications.js";
import {change, isMade, previewStyle, readStyle} from "./session.js";
import {state, watch} from "./state.js";

const [OWN, PHOTO] = ["own", "photo"];  // values of the tiles that are not named styles
const STYLES = OPTIONS.style.choices;
const FULL = {strength: OPTIONS.style_strength.default, drift: OPTIONS.style_drift.default};
let ofPhoto = null;  // the last style that was that of a photo: its name and picture

export function initStylePanel() {
  const named = STYLES.map((name, index) => tile(name, styleLabel({name}), thumbnail(index + 1)));
  const photo = tile(PHOTO, "", make("img", {className: "thumbnail", alt: ""}));
  $("styles").append(tile(OWN, "Original", thumbnail(0)), ...named, photo);
  $("styles").style.setProperty("--tiles", STYLES.length + 1);
  $("style-options").append(strengthSlider(), driftSwitch());
  initChooser();
  watch(["scene"], showThumbnails);
  $("photo").addEventListener("load", showPhoto);
  watch(["edits"], showStyle);
}

/** What to call a style, or the photo that it is of. */
export function styleLabel({name, picture}) {
  return picture ? name : `${name[0].toUpperCase()}${name.slice(1).replaceAll("-", " ")}`;
}

// --- tiles

function tile(value, label, picture) {
  const input = make("input", {type: "radio", name: "style", value, onchange: () => choose(styleOf(value))});
  return make("label", {}, input, picture, make("span", {className: "name"}, label));
}

/** A part of the row of pictures that the service makes. */
function thumbnail(index) {
  const part = make("span", {className: "thumbnail"});
  part.style.setProperty("--tile", index);
  return part;
}

function initChooser() {
  const [picker, choosing] = [$("style-picker"), $("style-choose")];
  choosing.addEventListener("click", () => picker.click());
  picker.addEventListener("change", async () => {
    const [file] = picker.files;
    picker.value = "";
    if (!file) return;
    choosing.disabled = true;
    try {
      const style = await readStyle(file);
      if (style) choose(style);
    } catch (error) {
      showError(error.message);
    }
    choosing.disabled = false;
    choosing.focus();
  });
}

/** In place of the row, which takes the service a while. */
function showPhoto() {
  $("styles").style.setProperty("--photo", `url("${$("photo").src}")`);
}

function showThumbnails() {
  const {scene} = state;
  if (!isMade() || $("styles").dataset.scene === scene.id) return;
  $("styles").dataset.scene = scene.id;
  $("styles").style.setProperty("--row", `url("${stylesURL(scene.id)}")`);
}

// --- the style

/** The edit that counts, if there is one. */
function currentStyle() {
  return state.edits.findLast(({kind}) => kind === "style") ?? null;
}

function styleOf(value) {
  if (value === OWN) return null;
  return value === PHOTO ? ofPhoto : {name: value, picture: null};
}

/** Shows another style, as strong as the one before; null: the photo's own appearance. */
function choose(style) {
  setStyle(style && {...FULL, ...currentStyle(), ...style});
}

/** Replaces all edits of this kind by one, so that the list of edits stays short. */
function setStyle(style, kind = null) {
  const others = state.edits.filter(edit => edit.kind !== "style");
  if (!style) return change({edits: others}, kind);
  const {name, strength, drift, picture} = style;
  change({edits: [...others, {kind: "style", name, strength, drift, picture}]}, kind);
}

function strengthSlider() {
  const {ge: min, le: max} = OPTIONS.style_strength;
  const onchange = () => setStyle({...currentStyle(), strength: Number(input.value)}, "style strength");
  const input = rangeInput({id: "style-strength", min, max, step: 0.05, onchange}, () => {
    showStrength(input.value);
    previewStyle(Number(input.value));
  });
  return sliderField(input, "Strength");
}

function driftSwitch() {
  const onchange = () => setStyle({...currentStyle(), drift: input.checked});
  const input = make("input", {type: "checkbox", id: "style-drift", onchange});
  const title = "Once in the loop, from the photo to the style and back.";
  return make("label", {className: "switch", title}, make("span", {}, "Drift there and back"), input);
}

function showStyle() {
  const style = currentStyle();
  if (style?.picture) ofPhoto = {name: style.name, picture: style.picture};
  const photo = $("styles").querySelector(`[value=${PHOTO}]`).parentElement;
  photo.hidden = !ofPhoto;
  if (ofPhoto) {
    photo.querySelector("img").src = `data:image/png;base64,${ofPhoto.picture}`;
    photo.querySelector(".name").textContent = ofPhoto.name;
  }
  const value = style ? (style.picture ? PHOTO : style.name) : OWN;
  const chosen = $("styles").querySelector(`[value="${value}"]`);
  chosen.checked = true;
  $("style-options").hidden = !style;
  if (!style) return;
  showStrength(style.strength);
  $("style-drift").checked = style.drift;
}

function showStrength(strength) {
  showSlider("style-strength", strength, `${Math.round(100 * strength)}%`);
}
