// Export: which format and how, then its progress, then the file.

import * as api from "./api.js";
import {say, showHint} from "./announce.js";
import {CropView} from "./cropview.js";
import {$, download, icon, make} from "./dom.js";
import {followed} from "./follow.js";
import {FORMATS, QUALITIES, SHAPES, STAGES} from "./formats.js";
import {settled} from "./session.js";
import {asked, fileName, set, state} from "./state.js";

const SIDES = [2160, 1440, 1080, 720, 512, 384, 256];  // short sides offered
const RATES = [60, 50, 30, 25, 24, 15];  // frames a second
const TURNS = [1, 2, 3, 5, 10];
const WIDE = ["codec", "repeat"];  // take a row of their own
const chosen = {format: "mp4", codec: "", size: null, quality: "good", shape: "", place: null, fps: 30, repeat: 1};
let scene = null;  // the id of the one that this was chosen for
let crop = null;

export function beginExport() {
  $("export").addEventListener("click", openExport);
  $("export-dialog").addEventListener("keydown", event => {
    if (event.key === "Escape" && state.exporting) event.preventDefault();  // it gives up no work
  });
  $("export-dialog").addEventListener("close", () => {
    if (state.exporting) {
      $("export-dialog").showModal();  // a phone's way back cannot be prevented
    } else {
      $("export-dialog").replaceChildren();  // a video in it would play on
      $("export").focus();
    }
  });
}

export function openExport() {
  if (state.phase !== "ready" || $("export-dialog").open) return;
  if (!state.maps) {
    showHint("Nothing moves in this photo so far; paint over what should, then export it.");
    return;
  }
  if (scene !== state.scene.id) {
    scene = state.scene.id;
    Object.assign(chosen, {size: usualSize(theForm()), place: null});
  }
  showForm();
  $("export-dialog").showModal();
}

// --- what to make

function showForm() {
  const start = make("button", {className: "primary", type: "button"}, "Export");
  start.addEventListener("click", begin);
  const body = make("div", {className: "export-form"}, formatChoice(), make("div", {className: "how", id: "how"}));
  frame("Export", body, make("p", {className: "hint", id: "export-size"}), start);
  showHow();
}

function formatChoice() {
  const groups = Map.groupBy ? Map.groupBy(FORMATS, form => form.group) : grouped(FORMATS);
  return make("div", {className: "formats", role: "radiogroup", ariaLabel: "Format"}, ...[...groups].map(([group, forms]) =>
    make("fieldset", {}, make("legend", {}, group), make("div", {className: "choice"}, ...forms.map(formatLabel)))));
}

function grouped(forms) {
  const groups = new Map();
  for (const form of forms) groups.set(form.group, [...groups.get(form.group) ?? [], form]);
  return groups;
}

function formatLabel(form) {
  const {id, name, hint, icon: picture} = form;
  const input = make("input", {type: "radio", name: "format", value: id, checked: id === chosen.format, autofocus: id === chosen.format});
  input.addEventListener("change", () => {
    Object.assign(chosen, {format: id, codec: "", size: usualSize(form), fps: Math.min(chosen.fps, fastest(form))});
    showHow();
  });
  return make("label", {}, input, icon(picture), make("span", {}, name, make("small", {}, hint)));
}

function showHow() {
  const form = theForm();
  const page = form.id === "html";
  crop = page ? null : new CropView(state.maps, chosen.shape, chosen.place, place => {
    chosen.place = place;
    showSize();
  });
  const parts = [
    crop?.element ?? null,
    page ? null : select("Shape", "shape", Object.entries(SHAPES), () => { chosen.place = null; showHow(); }),
    select("Size", "size", sizes(), showSize),
    form.codecs ? select("Codec", "codec", form.codecs.map(({id, name}) => [id, name])) : null,
    qualities(form) ? select("Quality", "quality", Object.entries(QUALITIES)) : null,
    form.still || page ? null : select("Frames a second", "fps", rates(form), showSize),
    form.repeats ? select("Turns in the file", "repeat", TURNS.map(turns => [turns, turns === 1 ? "One; most players loop" : `${turns}`])) : null,
    page ? make("p", {className: "hint wide"}, "A page of your own that plays the loop at any size, without a network. Open it, send it, or put it into a site with an iframe.") : null,
  ];
  $("how").replaceChildren(...parts.filter(Boolean));
  crop?.draw();
  showSize();
}

function select(label, name, choices, changed = () => {}) {
  const options = choices.map(([value, words]) => make("option", {value, selected: String(chosen[name] ?? "") === String(value)}, words));
  const made = make("select", {}, ...options);
  made.addEventListener("change", () => {
    const number = ["size", "fps", "repeat"].includes(name);
    chosen[name] = number ? (made.value ? Number(made.value) : null) : made.value;
    changed();
  });
  return make("label", {className: WIDE.includes(name) ? "wide" : ""}, label, made);
}

function sizes() {
  const whole = wholeSide();
  const told = side => {
    const [width, height] = pixels(side);
    return `${width} × ${height}`;
  };
  return [["", `Full, ${told(null)}`], ...SIDES.filter(side => side < whole).map(side => [side, told(side)])];
}

function usualSize({most}) {
  return most < wholeSide() ? most : null;
}

function fastest({fastest = Infinity}) {
  return fastest;
}

function rates(form) {
  return RATES.filter(rate => rate <= fastest(form)).map(rate => [rate, String(rate)]);
}

function wholeSide() {
  return Math.min(state.scene.width, state.scene.height);
}

function pixels(side) {
  const scale = side ? side / wholeSide() : 1;
  return [state.scene.width, state.scene.height].map(length => Math.round(length * scale));
}

function showSize() {
  const form = theForm();
  const [width, height] = crop ? crop.sized(pixels(chosen.size)) : pixels(chosen.size);
  const {seconds} = state.look;
  $("export-size").textContent = form.still ? `${width} × ${height}` : `${width} × ${height}, ${seconds} s loop`;
}

function theForm() {
  return FORMATS.find(({id}) => id === chosen.format);
}

function qualities(form) {
  return form.codecs ? (form.codecs.find(({id}) => id === chosen.codec) ?? form.codecs[0]).quality : form.quality;
}

/** The body of the request. */
function wanted() {
  const form = theForm();
  const quality = qualities(form)?.[chosen.quality];
  return {
    ...{scene: state.scene.id, format: form.id, ...asked(state), fps: form.id === "html" ? 30 : chosen.fps},
    ...(chosen.size && {size: chosen.size}),
    ...(quality !== undefined && quality !== null && {quality}),
    ...(form.codecs && chosen.codec && {codec: chosen.codec}),
    ...(form.repeats && chosen.repeat > 1 && {repeat: chosen.repeat}),
    ...(crop && chosen.shape && {crop: crop.told}),
  };
}

// --- making it

async function begin() {
  const exporting = new AbortController();
  const {signal} = exporting;
  set({exporting});
  showProgress();
  try {
    const edits = await settled();  // what was changed last is exported too
    if (signal.aborted) return;
    const job = await api.makeAnimation(wanted());
    const stop = () => api.cancelAnimation(job.id).catch(() => {});
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop);
    const ended = await followed(job, now => { if (!signal.aborted) tell(now); });
    if (!signal.aborted) end(ended, edits);
  } catch (error) {
    if (signal.aborted) return;
    set({exporting: null});
    showFailure(error.message);
  }
}

function end(job, edits) {
  set({exporting: null});
  if (job.state === "done") {
    set({saved: edits});
    showResult(job);
  } else if (job.state === "failed") {
    showFailure(job.problem.detail);
  } else {
    showForm();
  }
}

/** What the server still does for it ends behind the form. */
function giveUp() {
  state.exporting.abort();
  set({exporting: null});
  showForm();
  $("export-close").focus();
  say("Export cancelled");
}

function showProgress() {
  const cancel = make("button", {className: "outline", type: "button"}, "Cancel");
  cancel.addEventListener("click", giveUp);
  const meter = make("div", {className: "meter", id: "meter", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100", "aria-label": "Export"}, make("span"));
  const body = make("div", {className: "exporting"},
    make("p", {className: "stage-words", id: "stage-words", role: "status"}, STAGES.queued), meter, make("p", {className: "hint mono", id: "stage-count"}, " "), cancel);
  frame(`Exporting ${theForm().name}`, body);
  cancel.focus();
}

function tell({progress: {stage, done, total, share}}) {
  if (!$("meter")) return;
  const words = STAGES[stage] ?? STAGES.queued;
  if ($("stage-words").textContent !== words) $("stage-words").textContent = words;
  $("stage-count").textContent = stage === "video" && total > 1 ? `${done} of ${total}` : " ";
  $("meter").firstChild.style.transform = `scaleX(${share})`;
  $("meter").setAttribute("aria-valuenow", String(Math.round(100 * share)));
}

// --- the file

function showResult({links, bytes, format, warning}) {
  const name = fileName(format);
  const again = make("a", {href: links.result, download: name}, "Save again");
  const another = make("button", {className: "quiet", type: "button"}, "Export another");
  another.addEventListener("click", showForm);
  const body = make("div", {className: "exporting"}, shown(format, links.result, name),
    make("p", {role: "status"}, make("strong", {}, name), `, ${told(bytes)}`), warning ? make("p", {className: "hint"}, warning) : null,
    make("p", {className: "hint"}, "The download has started. ", again));
  frame("Export finished", body, another);
  another.focus();
  download(links.result, name);
  say(`${name} is being saved, ${told(bytes)}`);
}

function shown(format, src, name) {
  if (["mp4", "webm"].includes(format)) return make("video", {className: "result", src, autoplay: true, loop: true, muted: true, playsInline: true, controls: true, ariaLabel: name});
  if (["gif", "webp", "avif", "apng", "png"].includes(format)) return make("img", {className: "result", src, alt: `The exported ${format}`});
  const mark = icon(format === "html" ? "page" : "frames");
  mark.classList.add("drop-icon");
  return mark;
}

function showFailure(words) {
  const back = make("button", {className: "primary", type: "button"}, "Back to the choices");
  back.addEventListener("click", showForm);
  const mark = icon("warning");
  mark.classList.add("drop-icon");
  frame("This did not work", make("div", {className: "exporting"}, mark, make("p", {role: "alert"}, words), back));
  back.focus();
}

function told(bytes) {
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.max(1, Math.round(bytes / 1e3))} kB`;
}

function frame(title, body, ...foot) {
  const dialog = $("export-dialog");
  const close = make("button", {className: "quiet icon-only", type: "button", ariaLabel: "Close", id: "export-close"}, icon("close"));
  close.addEventListener("click", () => dialog.close());
  close.hidden = title.startsWith("Exporting");
  dialog.replaceChildren(
    make("div", {className: "dialog-head"}, make("h2", {id: "export-title"}, title), close),
    make("div", {className: "dialog-body"}, body),
    ...(foot.length ? [make("div", {className: "dialog-foot"}, ...foot)] : []),
  );
}
