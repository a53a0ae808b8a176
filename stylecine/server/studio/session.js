// The open photo: opens it, edits it, and keeps the server and the player up to date.

import * as api from "./api.js";
import {FIRST_SIZE} from "./declared.js";  // of the loop that is shown until the scene is ready
import {isLost, onReconnect, reportLost} from "./connection.js";
import {announce, hideNotice, showBusy, showError, showHint} from "./notifications.js";
import {history, isDirty, renderOptions, sameEdits, set, state} from "./state.js";

const DEFAULTS = state.options;
const SIZES = [240, 320, 400, 512, 640, 768, 900, 1080, 1440, 2160];  // short sides of previews
const START_SIZE = 320;  // of loops until it is known how smoothly they play
const [SMOOTH, SLOW] = [36, 72];  // ms a frame
const NOTHING_MOVES = "Nothing moves in this photo yet. Paint over what should, or choose a weather.";
const FEW_MOVING = 0.15;  // share of the picture below which something may have been missed
const GROUP_TIME = 1500;  // ms within which changes of one kind are one step of the history
const SLIDER_DELAY = 220;  // ms after a slider's last move until a new loop is made

let player = null;
let playerReady = null;
const hasPlayer = new Promise(resolve => { playerReady = resolve; });
let displayedSize = () => 512;  // the picture's short side on the screen, in device pixels
let source = null;  // the opened file, in case the server forgets it
let serverEdits = [];
let playing = {};  // the request of the current loop
let draftWind = null;  // in which its cloth is shown for the moment
let sizeLimit = START_SIZE;  // of previews, by how smoothly they play
let sizeCeiling = Infinity;  // larger previews were too slow on this machine
let opening = null, fetching = null;  // AbortControllers; fetching.request: of the loop that is being fetched
let lastChange = {kind: null, at: 0};

/** Photos that are opened earlier wait for the player. */
export function initSession(loopPlayer, shortSideOnScreen) {
  player = loopPlayer;
  displayedSize = shortSideOnScreen;
  playerReady();
}

// --- opening

/** Opens a photo or a .cine file, {file, name, size}, and reports to `onProgress(text, share)`. Throws errors. */
export function openFile(file, onProgress) {
  onProgress("Uploading", 0.08);
  return open(() => api.makeScene(file, FIRST_SIZE), file, onProgress);  // not abortable: the id would be lost
}

/** Opens a scene that the server already has. */
export function openScene(id, onProgress) {
  return open(signal => api.readScene(id, 0, signal), null, onProgress);
}

async function open(getScene, file, onProgress) {
  const {signal} = opening = new AbortController();
  fetching?.abort();
  let scene = await getScene(signal);
  let edits, maps;
  try {
    onProgress("Finding what moves", 0.35);
    const first = await api.readFirst(scene.id, signal);
    scene = first ? await api.readScene(scene.id, 0, signal) : await readyScene(scene, onProgress, signal);
    await hasPlayer;
    await Promise.race([syncing, rejectOnAbort(signal)]);  // nothing of the previous photo may arrive later
    onProgress("Animating", 0.7);
    [sizeLimit, sizeCeiling] = [START_SIZE, Infinity];
    edits = fromServer(scene.edits);
    const request = loopRequest(scene, edits, DEFAULTS);
    const pack = first ?? await readPack(request, signal);
    onProgress("Drawing the first frame", 0.95);
    maps = await play(pack, first ? {...request, query: ""} : request);  // an impression matches none, so the own loop replaces it
    signal.throwIfAborted();
  } catch (error) {
    if (file) api.deleteScene(scene.id);  // one that the server had stays there
    throw error;
  }
  const previous = state.scene;
  source = file;
  serverEdits = edits;
  lastChange = {kind: null, at: 0};
  set({
    ...{phase: "ready", scene, name: scene.name, edits, renderedEdits: edits, savedEdits: edits, options: DEFAULTS},
    ...{past: [], future: [], maps, split: null, before: false, highlighted: null, seam: false, slow: false},
    ...{doubts: null, dismissed: [], checking: false},
  });
  hideNotice();
  if (previous) api.deleteScene(previous.id);
  if (!source) keepSource(scene);
  if (isMade()) showFirstHint();
}

/** Whether the server has the whole scene, and not only its first loop. */
export function isMade() {
  return state.scene?.state === "ready";
}

/** Keeps a file of a scene that was opened by its id, so that it can be opened again. */
async function keepSource({id, name}) {
  const file = await api.readCineFile(id).catch(() => null);
  if (file && state.scene.id === id) source = {file, name, size: 1024};
}

/** Says what to do if little moves, or if the prediction may be wrong. */
function showFirstHint() {
  const {edits, maps, scene} = state;
  if (!maps) {
    showHint(NOTHING_MOVES);
  } else if (!edits.length && (scene.warning || scene.moving < FEW_MOVING)) {
    const found = scene.warning ?? `Only about ${Math.ceil(100 * scene.moving)}% of this photo moves.`;
    const advice = "Erase what should not move, and paint over what should.";
    showHint(`${found} ${advice}`, {label: "Show mask", run: () => set({mask: true})});
  }
}

export function cancelOpening() {
  opening?.abort();
}

function rejectOnAbort(signal) {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), {once: true}));
}

async function readyScene(scene, onProgress, signal) {
  while (scene.state === "queued" || scene.state === "running") {
    const queued = scene.state === "queued";
    queued ? onProgress("Waiting in line", 0.15) : onProgress("Finding what moves", 0.35);
    scene = await api.readScene(scene.id, queued ? 1 : 20, signal);
  }
  if (scene.state === "failed") throw Object.assign(new api.Problem(scene.problem.status, scene.problem), {final: true});
  return scene;
}

function fromServer(edits) {
  return edits.map(edit => ({...edit, fromServer: true}));
}

// --- changing

/** Changes edits, options or both: one step of the history, merged with a recent one of the same kind. */
export function change(changes, kind = null) {
  const now = performance.now();
  const continues = kind !== null && kind === lastChange.kind && now - lastChange.at < GROUP_TIME;
  lastChange = {kind, at: now};
  hideNotice();
  const past = continues ? state.past : [...state.past, {edits: state.edits, options: state.options}];
  set({...changes, past, future: []});
  kind === null ? sync() : syncSoon();
  if (kind === "wind") followWind();
}

export function addEdit(edit) {
  change({edits: [...state.edits, edit]});
}

export function removeEdit(edit) {
  change({edits: state.edits.filter(other => other !== edit)});
}

export function undo() {
  if (state.past.length) travelTo(state.past.length - 1, "Undone");
  else announce("Nothing to undo");
}

export function redo() {
  if (state.future.length) travelTo(state.past.length + 1, "Redone");
  else announce("Nothing to redo");
}

/** Returns to a state of the history, or goes forward to one; nothing is lost until something else is changed. */
export function travelTo(index, done) {
  const steps = history();
  const {edits, options} = steps[index];
  lastChange = {kind: null, at: 0};
  set({edits, options, past: steps.slice(0, index), future: steps.slice(index + 1).reverse()});
  announce(done);
  sync();
}

// --- keeping server and player in step

let outdated = false, syncing = null, soonTimer = 0;

/** Brings server and player up to date: one request at a time, and only for the latest state. */
export function sync() {
  if (state.phase !== "ready") return null;
  outdated = true;
  abortOutdated();
  syncing ??= syncAll().finally(() => { syncing = null; });
  return syncing;
}

function abortOutdated() {
  if (fetching?.request && !isCurrent(fetching.request)) fetching.abort();
}

/** Marks the stage as busy at once, as the old loop is still shown. */
function syncSoon() {
  if (!soonTimer && !syncing) showBusy("");
  clearTimeout(soonTimer);
  soonTimer = setTimeout(() => {
    soonTimer = 0;
    if (state.turning) syncSoon();  // the server is needed for drafts
    else sync() ?? showBusy(null);
  }, SLIDER_DELAY);
}

async function syncAll() {
  while (outdated && state.phase === "ready" && !isLost()) {
    outdated = false;
    try {
      await syncOnce();
    } catch (error) {
      await handleError(error);
    }
  }
  if (isLost()) onReconnect(sync);
  showBusy(soonTimer ? "" : null);
}

async function syncOnce() {
  if (!isMade()) await waitForScene();
  const {edits, options} = state;
  if (!sameEdits(edits, serverEdits)) {
    showBusy("Fitting to the picture");
    await sendEdits(edits);
  }
  if (state.phase !== "ready" || !sameEdits(state.edits, serverEdits)) return;
  const request = loopRequest(state.scene, state.edits, options);
  let {maps} = state;
  if (draftWind || !sameRequest(request, playing)) {
    const byUser = options !== playing.options || !sameEdits(request.edits, playing.edits);  // not by a resized window
    showBusy(byUser ? "Animating" : "");
    fetching = Object.assign(new AbortController(), {request});
    const {signal} = fetching;
    try {
      const wind = movesOnlyCloth() && differsInWind(request) && await readWind(request, false, signal);
      const pack = wind || await readPack(request, signal);
      if (!isCurrent(request)) return;
      maps = wind ? playWind(wind, request) : await play(pack, request);
    } finally {
      fetching = null;
    }
    if (!maps) showHint(NOTHING_MOVES);
  }
  set({renderedEdits: request.edits, maps});
}

/** Until the scene is made whose first loop is shown already. */
async function waitForScene() {
  fetching = new AbortController();
  showBusy("");
  try {
    set({scene: await readyScene(state.scene, () => {}, fetching.signal)});
  } finally {
    fetching = null;
  }
  if (!state.edits.length) showFirstHint();
}

/** If the server refuses the edits, sends them one by one and drops only those that it refuses. */
async function sendEdits(edits) {
  try {
    await patchEdits(edits);
    return;
  } catch (error) {
    if (error.status !== 422) throw error;
  }
  const accepted = serverEdits;
  const kept = edits.filter((_, index) => sameEdits(edits.slice(0, index + 1), accepted.slice(0, index + 1)));
  for (const edit of edits.slice(kept.length)) {
    try {
      await patchEdits([...kept, edit]);
      kept.push(edit);
    } catch (error) {
      if (error.status !== 422) throw error;
      dropEdit(edit, accepted.includes(edit));
      showError(error.message);
    }
  }
}

async function patchEdits(edits) {
  set({scene: await api.editScene(state.scene.id, edits)});
  serverEdits = edits;
}

/** Removes an edit; also from the history, unless the server had accepted it before. */
function dropEdit(edit, wasAccepted) {
  const without = ({edits, options}) => ({edits: edits.filter(other => other !== edit), options});
  const current = without(state);
  const differ = (a, b) => a.options !== b.options || !sameEdits(a.edits, b.edits);
  const tidied = steps => steps.map(without).filter((step, index, all) => differ(step, all[index + 1] ?? current));
  set({edits: current.edits});
  if (!wasAccepted) set({past: tidied(state.past), future: tidied(state.future)});
}

async function handleError(error) {
  if (error.name === "AbortError" || state.phase !== "ready") return;  // or another photo is being opened
  if (error instanceof api.ServerGone) {
    outdated = true;
    reportLost();
  } else if (error.status === 429) {
    outdated = true;
    showBusy("Waiting, the server is busy");
    await new Promise(done => setTimeout(done, 1000 * Math.min(error.retryAfter || 2, 10)));
  } else if (error.status === 404 && source) {
    await reopen();
  } else {
    showError(error.message, error.final ? null : {label: "Try again", run: sync});
  }
}

/** Uploads the file again, as the server has forgotten the scene. */
async function reopen() {
  showBusy("Opening it again");
  fetching = new AbortController();
  const {signal} = fetching;
  let made = null;
  try {
    made = await api.makeScene(source);
    const scene = await readyScene(made, () => {}, signal);
    if (state.phase !== "ready") throw new DOMException("Another photo is being opened.", "AbortError");
    serverEdits = fromServer(scene.edits);
    set({scene});
    outdated = true;
  } catch (error) {
    if (made) api.deleteScene(made.id);
    if (error.status === undefined) await handleError(error);
    else showError(error.message);
  } finally {
    fetching = null;
  }
}

// --- the wind

/** While the wind turns, shows the loop roughly in the last wind, again and again; sync() makes it afterwards. */
async function followWind() {
  abortOutdated();
  if (state.following) return;
  set({following: true});
  try {
    for (let request = newWind(); request; request = newWind()) {
      const base = playing, pack = await readWind(request, true);
      if (!pack || playing !== base || !differsInWind(request)) break;
      player.loadWind(pack);
      draftWind = request.options.wind;
      if (state.flow) set({maps: turnedMaps()});
      await player.drawn();  // where drawing is slow, drafts would queue up
    }
  } catch {
    // sync() will report it
  } finally {
    set({following: false});
  }
}

/** The request of the loop that is wanted, if only its wind differs from what is shown; otherwise null. */
function newWind() {
  if (state.phase !== "ready" || isLost()) return null;
  const request = loopRequest(state.scene, state.edits, state.options);
  const shown = draftWind ?? playing.options.wind;
  return differsInWind(request) && String(request.options.wind) !== String(shown) ? request : null;
}

/** Whether a loop is that which is played, but for its wind, and nothing else. Cloth moves without one, too. */
function differsInWind(request) {
  const {wind} = playing.options ?? {}, windy = request.options.wind || movesOnlyCloth();
  return Boolean(state.maps && windy) && !request.options.weather && sameRequest(playing, {...request, query: queryIn(wind, request.query)});
}

/** The maps of the loop in the wind that is shown. */
function turnedMaps() {
  const {velocity, overlays} = player.maps;
  return {...state.maps, velocity, overlays};
}

/** Whether another wind changes nothing but the cloth. */
function movesOnlyCloth() {
  return !state.maps?.moving && state.maps?.overlays.map(({kind}) => kind).join() === "cloth";
}

function queryIn(wind, query) {
  const changed = new URLSearchParams(query);
  if (wind) changed.set("wind", wind);
  else changed.delete("wind");
  return String(changed);
}

/** What a wind changes in the loop's pack; null if nothing would move. */
async function readWind({id, query}, quick, signal) {
  try {
    return await api.readWind(id, query, quick, signal);
  } catch (error) {
    if (error.nothingMoves) return null;
    throw error;
  }
}

function playWind(pack, request) {
  player.loadWind(pack);
  [playing, draftWind] = [request, null];
  return turnedMaps();
}

// --- the style

/** Shows the style of the loop at another strength, until another loop is played. */
export function previewStyle(strength) {
  if ("styleStrength" in player) player.styleStrength = strength;
}

/** The edit that shows the loop as another photo, a File, looks; null if the open photo has changed meanwhile. */
export async function readStyle(file) {
  const opened = source;
  let style;
  try {
    style = await api.makeStyle(state.scene.id, file);
  } catch (error) {
    if (error.status !== 404 || !source) throw error;
    await reopen();
    style = await api.makeStyle(state.scene.id, file);
  }
  return source === opened && state.phase === "ready" ? style : null;
}

// --- the preview's size

/** Makes previews as large as they are displayed, but not larger than this machine plays smoothly. */
export function adaptSize(frameTime) {
  const busy = syncing && isMade();
  if (state.exporting || busy || state.turning || state.following) return;  // other work slows down the player
  const size = Math.min(player.width, player.height);
  if (frameTime > SLOW && size > SIZES[1]) sizeCeiling = SIZES.filter(smaller => smaller < size).at(-1);
  else if (frameTime > SMOOTH) return;
  if (sizeLimit === sizeCeiling) return;
  sizeLimit = sizeCeiling;
  if (!syncing) sync();
}

/** A loop's scene and edits, and the query to the service. */
function loopRequest(scene, edits, options) {
  const fullSize = Math.min(scene.width, scene.height);
  const needed = SIZES.find(size => size >= displayedSize(scene) * 0.92) ?? SIZES.at(-1);
  const size = state.fullSize ? fullSize : Math.min(needed, sizeLimit, fullSize);
  const query = new URLSearchParams({size, fps: 30, ...renderOptions({edits, options})});
  return {id: scene.id, edits, options, query: String(query)};
}

function sameRequest(a, b) {
  return a.id === b.id && a.query === b.query && sameEdits(a.edits, b.edits);
}

function isCurrent(request) {
  return state.phase === "ready" && sameRequest(request, loopRequest(state.scene, state.edits, state.options));
}

/** The web pack; null if nothing moves. */
async function readPack(request, signal) {
  try {
    return await api.readPack(request.id, request.query, signal);
  } catch (error) {
    if (error.nothingMoves) return null;
    throw error;
  }
}

/** Plays a pack; returns its maps and size, null without a pack. */
async function play(pack, request) {
  if (pack) await player.load(pack);
  previewStyle(null);
  [playing, draftWind] = [request, null];
  const {width, height, fps} = player;
  return pack && {...player.maps, width, height, fps};
}

/** The loop that is played, {id, query}, as the service knows it. */
export function currentLoop() {
  return playing;
}

export function isSyncing() {
  return syncing !== null || soonTimer !== 0;
}

// --- saving

/** The edits, once the server has all of them. Throws if it has not accepted them. */
export async function syncedEdits() {
  await sync();
  if (!sameEdits(state.edits, serverEdits)) throw new Error("The last changes have not reached the server; try again.");
  return serverEdits;
}

/** The scene as a .cine file, a Blob. */
export async function cineFile() {
  const edits = await syncedEdits();
  const {id} = state.scene;
  const file = await api.readCineFile(id);
  if (state.scene.id === id) set({savedEdits: edits});
  return file;
}

addEventListener("beforeunload", event => {
  if (isDirty()) event.preventDefault();
});
