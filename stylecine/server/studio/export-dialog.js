// The export dialog: its options, then the progress, then the file.

import * as api from "./api.js";
import {CropView} from "./crop-view.js";
import {onReconnect, reportLost} from "./connection.js";
import {FORMATS, OPTIONS, PRESETS, STAGES} from "./declared.js";
import {fillDialog} from "./dialog.js";
import {$, button, download, icon, make, progressBar, showProgressBar} from "./dom.js";
import {announce, showHint} from "./notifications.js";
import {syncedEdits} from "./session.js";
import {fileName, renderOptions, set, state} from "./state.js";

const SHAPES = {
  "": "Original", "1:1": "Square, 1:1", "4:5": "Portrait, 4:5", "9:16": "Vertical, 9:16", "16:9": "Wide, 16:9",
};
const QUALITIES = {small: "Smaller file", good: "Good", best: "Best"};  // in the order of a format's
const QUEUED = "Waiting in line";
const SIZES = [2160, 1440, 1080, 720, 512, 384, 256];  // short sides
const RATES = [60, 50, 30, 25, 24, 15];  // frames a second
const REPEATS = [1, 2, 3, 5, 10];
const SOUNDS = {"": "None", on: "Of what is seen"};
const NUMBERS = ["size", "fps", "repeat"];
const PAGE_HINT = "A page that plays the loop at any size, without a network."
  + " Open it, send it, or embed it in a site with an iframe.";
const END_STATES = ["done", "failed", "cancelled"];
const POLL_INTERVAL = 250;  // ms
const chosen = {
  format: "mp4", preset: "", codec: "", size: null, quality: "good", shape: "", cropPosition: null, fps: 30, repeat: 1,
  sound: "",
};
let sceneId = null;  // of the scene that these were chosen for
let crop = null;

export function initExport() {
  const dialog = $("export-dialog");
  $("export").addEventListener("click", openExport);
  dialog.addEventListener("keydown", event => {
    if (event.key === "Escape" && state.exporting) event.preventDefault();  // only Cancel stops an export
  });
  dialog.addEventListener("close", () => {
    if (state.exporting) {
      dialog.showModal();  // a phone's back gesture cannot be prevented
    } else {
      dialog.replaceChildren();  // otherwise a video in it would continue to play
      $("export").focus();
    }
  });
}

export function openExport() {
  if (state.phase !== "ready" || $("export-dialog").open) return;
  if (!state.maps) {
    showHint("Nothing moves in this photo yet. Paint over what should, then export it.");
    return;
  }
  if (sceneId !== state.scene.id) {
    sceneId = state.scene.id;
    Object.assign(chosen, {size: defaultSize(chosenFormat()), cropPosition: null});
  }
  showForm();
  $("export-dialog").showModal();
}

function show(title, body, options) {
  fillDialog($("export-dialog"), title, body, options);
}

// --- options

function showForm() {
  const options = make("div", {className: "export-options", id: "export-options"});
  const form = make("div", {className: "export-form"}, formatChoice(), options);
  const footer = [make("p", {className: "hint", id: "export-size"}), button("primary", runExport, "Export")];
  show("Export", [form], {footer});
  showOptions();
}

function formatChoice() {
  const groups = [...new Set(FORMATS.map(({kind}) => kind.group))].map(group => {
    const labels = FORMATS.filter(({kind}) => kind.group === group).map(formatLabel);
    return make("fieldset", {}, make("legend", {}, group), make("div", {className: "choice"}, ...labels));
  });
  return make("div", {className: "formats", role: "radiogroup", ariaLabel: "Format"}, ...groups);
}

function formatLabel(format) {
  const {id, name, hint, kind} = format;
  const isChosen = id === chosen.format;
  const onchange = () => {
    const fps = Math.min(chosen.fps, format.max_fps);
    Object.assign(chosen, {format: id, preset: "", codec: "", size: defaultSize(format), fps});
    showOptions();
  };
  const checks = {checked: isChosen, autofocus: isChosen, onchange};
  const input = make("input", {type: "radio", name: "format", value: id, ...checks});
  return make("label", {}, input, icon(kind.icon), make("span", {}, name, make("small", {}, hint)));
}

function showOptions() {
  const format = chosenFormat();
  const page = format.kind.id === "page", still = format.kind.id === "poster", preset = chosenPreset();
  const shape = preset ? preset.size.join(":") : chosen.shape;
  crop = page ? null : new CropView(state.maps, shape, chosen.cropPosition, position => {
    chosen.cropPosition = position;
    showSize();
  });
  const rates = RATES.filter(rate => rate <= format.max_fps).map(rate => [rate, String(rate)]);
  const repeats = REPEATS.map(count => [count, count === 1 ? "Once; most players loop" : `${count} times`]);
  const reshape = () => { chosen.cropPosition = null; showOptions(); };
  const purposes = [["", "Anything"], ...PRESETS.map(({id, name}) => [id, name])];
  const parts = [
    crop?.element,
    format.id === "mp4" && select("Made for", "preset", purposes, reshape),
    !page && !preset && select("Shape", "shape", Object.entries(SHAPES), reshape),
    !preset && select("Size", "size", sizeChoices(), showSize),
    !preset && format.codecs.length > 0 && select("Codec", "codec", format.codecs.map(({id, name}) => [id, name])),
    qualityValues(format).length > 0 && select("Quality", "quality", Object.entries(QUALITIES)),
    !still && !page && !preset && select("Frames per second", "fps", rates, showSize),
    !preset && format.codecs.length > 0 && select("Repeats in the file", "repeat", repeats),
    format.sound && select("Sound", "sound", Object.entries(SOUNDS)),
    page && make("p", {className: "hint wide"}, PAGE_HINT),
  ];
  $("export-options").replaceChildren(...parts.filter(Boolean));
  crop?.draw();
  showSize();
}

function select(label, name, choices, onChange = () => {}) {
  const current = String(chosen[name] ?? "");
  const options = choices.map(([value, text]) => make("option", {value, selected: current === String(value)}, text));
  const element = make("select", {}, ...options);
  element.addEventListener("change", () => {
    chosen[name] = NUMBERS.includes(name) ? Number(element.value) || null : element.value;
    onChange();
  });
  return make("label", {className: ["preset", "codec", "repeat"].includes(name) ? "wide" : ""}, label, element);
}

function sizeChoices() {
  const choice = (size, prefix = "") => [size ?? "", `${prefix}${formatSize(evened(sizeInPixels(size)))}`];
  return [choice(null, "Full, "), ...SIZES.filter(size => size < fullSize()).map(size => choice(size))];
}

/** The short side; null: full size. */
function defaultSize({default_size: size}) {
  return size < fullSize() ? size : null;
}

function fullSize() {
  return Math.min(state.scene.width, state.scene.height);
}

function sizeInPixels(size) {
  const scale = size ? size / fullSize() : 1;
  return [state.scene.width, state.scene.height].map(length => Math.round(length * scale));
}

/** A size as it is written: in some formats both sides are even. */
function evened(size) {
  return chosenFormat().even ? size.map(length => length - length % 2) : size;
}

function formatSize([width, height]) {
  return `${width} × ${height}`;
}

function showSize() {
  const preset = chosenPreset();
  const size = preset ? presetSize(preset) : sizeInPixels(chosen.size);
  const seconds = preset && !hasOwnLength() ? preset.seconds : state.options.seconds;
  const duration = chosenFormat().kind.id === "poster" ? "" : `, ${seconds} s loop`;
  $("export-size").textContent = formatSize(evened(crop ? crop.croppedSize(size) : size)) + duration;
}

/** The photo's size with which a preset's crop is as large as it may be. */
function presetSize({size: [width]}) {
  const full = sizeInPixels(null), scale = Math.min(1, width / crop.croppedSize(full)[0]);
  return full.map(length => Math.round(length * scale));
}

/** Whether the user has changed the loop's length, so that a preset does not. */
function hasOwnLength() {
  return state.options.seconds !== OPTIONS.seconds.default;
}

function chosenPreset() {
  return PRESETS.find(({id}) => id === chosen.preset);
}

function chosenFormat() {
  return FORMATS.find(({id}) => id === chosen.format);
}

/** As many as QUALITIES; none if the format is lossless. */
function qualityValues({codecs, qualities}) {
  return (codecs.find(({id}) => id === chosen.codec) ?? codecs[0])?.qualities ?? qualities;
}

/** The body of the request. */
function animationRequest() {
  const format = chosenFormat();
  const quality = qualityValues(format)[Object.keys(QUALITIES).indexOf(chosen.quality)];
  if (chosen.preset) {
    const {seconds, ...loop} = renderOptions(state);
    return {
      ...{scene: state.scene.id, format: format.id, ...loop, preset: chosen.preset, quality, crop: crop.option},
      ...(hasOwnLength() && {seconds}),
      ...(chosen.sound && {sound: true}),
    };
  }
  return {
    ...{scene: state.scene.id, format: format.id, ...renderOptions(state)},
    fps: format.kind.id === "page" ? 30 : chosen.fps,
    ...(chosen.size && {size: chosen.size}),
    ...(quality !== undefined && {quality}),
    ...(chosen.codec && {codec: chosen.codec}),
    ...(format.codecs.length && chosen.repeat > 1 && {repeat: chosen.repeat}),
    ...(format.sound && chosen.sound && {sound: true}),
    ...(crop && chosen.shape && {crop: crop.option}),
  };
}

// --- progress

async function runExport() {
  const exporting = new AbortController();
  const {signal} = exporting;
  set({exporting});
  showProgress();
  try {
    const edits = await syncedEdits();
    if (signal.aborted) return;
    const job = await api.makeAnimation(animationRequest());
    const cancel = () => api.cancelAnimation(job.id).catch(() => {});
    if (signal.aborted) cancel();
    else signal.addEventListener("abort", cancel);
    const ended = await followJob(job, now => { if (!signal.aborted) updateProgress(now); });
    if (!signal.aborted) finishExport(ended, edits);
  } catch (error) {
    if (signal.aborted) return;
    set({exporting: null});
    showFailure(error.message);
  }
}

/** The finished job; calls `onChange` with each of its states. Waits while the server is gone. */
async function followJob(job, onChange) {
  while (!END_STATES.includes(job.state)) {
    await new Promise(done => setTimeout(done, POLL_INTERVAL));
    try {
      job = await api.readAnimation(job.id);
      onChange(job);
    } catch (error) {
      if (!(error instanceof api.ServerGone)) throw error;
      reportLost();
      await new Promise(onReconnect);
    }
  }
  return job;
}

function finishExport(job, edits) {
  set({exporting: null});
  if (job.state === "done") {
    set({savedEdits: edits});
    showResult(job);
  } else if (job.state === "failed") {
    showFailure(job.problem.detail);
  } else {
    showForm();
  }
}

/** Returns to the form at once; the server stops a little later. */
function cancelExport() {
  state.exporting.abort();
  set({exporting: null});
  showForm();
  $("export-dialog").querySelector(".close").focus();
  announce("Export cancelled");
}

function showProgress() {
  const cancel = button("outline", cancelExport, "Cancel");
  const parts = [
    make("p", {className: "export-stage", id: "export-stage", role: "status"}, QUEUED),
    progressBar("export-bar", "Export"),
    make("p", {className: "hint mono", id: "export-count"}, " "),
    cancel,
  ];
  show(`Exporting ${chosenFormat().name}`, [make("div", {className: "export-status"}, ...parts)], {closable: false});
  cancel.focus();
}

function updateProgress({state: jobState, progress: {stage, done, total, share}}) {
  const bar = $("export-bar");
  if (!bar) return;
  const text = jobState === "done" ? "Done" : STAGES[stage] ?? QUEUED;
  if ($("export-stage").textContent !== text) $("export-stage").textContent = text;
  $("export-count").textContent = stage === "video" && total > 1 ? `${done} of ${total}` : " ";
  showProgressBar(bar, share);
}

// --- the file

/** Saves the file at once; the link is for browsers that refuse that. */
function showResult({links, bytes, format, warning}) {
  const name = fileName(format);
  const another = button("ghost", showForm, "Export another");
  const link = make("a", {href: links.result, download: name}, "Save again");
  const parts = [
    resultPreview(format, links.result, name),
    make("p", {role: "status"}, make("strong", {}, name), `, ${formatBytes(bytes)}`),
    warning ? make("p", {className: "hint"}, warning) : null,
    make("p", {className: "hint"}, "The download has started. ", link),
  ];
  show("Export finished", [make("div", {className: "export-status"}, ...parts)], {footer: [another]});
  another.focus();
  download(links.result, name);
  announce(`${name} is being saved, ${formatBytes(bytes)}`);
}

function resultPreview(format, src, name) {
  const {kind, media_type: mediaType, in_browsers: plays} = FORMATS.find(({id}) => id === format);
  if (kind.id === "video" && plays) {
    const playing = {autoplay: true, loop: true, muted: true, playsInline: true, controls: true};
    return make("video", {className: "result", src, ...playing, ariaLabel: name});
  }
  if (!mediaType.startsWith("image/")) return largeIcon(kind.icon);
  return make("img", {className: "result", src, alt: `The exported ${format}`});
}

function showFailure(text) {
  const back = button("primary", showForm, "Back to the options");
  const parts = [largeIcon("warning"), make("p", {role: "alert"}, text), back];
  show("Export failed", [make("div", {className: "export-status"}, ...parts)]);
  back.focus();
}

function largeIcon(name) {
  const element = icon(name);
  element.classList.add("large-icon");
  return element;
}

function formatBytes(bytes) {
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.max(1, Math.round(bytes / 1e3))} kB`;
}
