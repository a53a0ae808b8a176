// The photo at hand: opened, edited, kept in step with the server and with the player.

import * as api from "./api.js";
import {hideNotice, say, showBusy, showError, showHint} from "./announce.js";
import {isLost, lose, whenBack} from "./connection.js";
import {debounced} from "./dom.js";
import {alike, asked, isDirty, set, state} from "./state.js";

const PLAIN = {speed: 1, seconds: 4, detail: 1, wind: [0, 0.5]};
const SIZES = [240, 320, 400, 512, 640, 768, 900, 1080, 1440, 2160];  // of the live loop's short side
const FIRST = 320;  // of them, so that there is something to see soon
const [QUICK, SLOW] = [36, 72];  // ms a frame
const NOTHING = "Nothing moves in this photo so far; paint over what should.";
const LITTLE = 0.15;  // of the picture: where less moves, something may have been mistaken or missed
const TOGETHER = 1500;  // ms within which changes of one kind are one step of the history

let player = null;
let begun = null;
const hasBegun = new Promise(done => { begun = done; });
let shortSide = () => 512;  // of the picture on the screen, in device pixels
let source = null;  // the file that was opened, for a server that has forgotten it
let onServer = [];  // edits
let playing = {};  // the wish that the loop came of
let most = FIRST;  // of the live loop's short side, by how smoothly this machine plays
let ceiling = Infinity;  // it turned out to be too slow for more
let opening = null, fetching = null;  // AbortControllers; `wish`: the loop that is fetched
let last = {kind: null, at: 0};

/** What has been opened before waits for the player. */
export function beginSession(itsPlayer, itsShortSide) {
  player = itsPlayer;
  shortSide = itsShortSide;
  begun();
}

// --- opening

/**
 * Opens a photo or a .cine file: {file, name, size}. `told` hears what is being done and how much of it is done.
 * Throws what went wrong.
 */
export function open(given, told) {
  told("Sending the photo", 0.08);
  return show(() => api.makeScene(given), given, told);  // of one whose making is broken off nobody knows the id
}

/** Opens a scene that the server has already. */
export function openScene(id, told) {
  return show(signal => api.readScene(id, 0, signal), null, told);
}

async function show(sceneOf, itsSource, told) {
  const {signal} = opening = new AbortController();
  fetching?.abort();
  let scene = await sceneOf(signal);
  let edits, maps;
  try {
    scene = await ready(scene, told, signal);
    await hasBegun;
    await Promise.race([running, brokenOff(signal)]);  // nothing of the photo before comes after this
    told("Setting it in motion", 0.7);
    [most, ceiling] = [FIRST, Infinity];
    edits = owned(scene.edits);
    const wish = wishFor(scene, edits, PLAIN);
    const pack = await packOf(wish, signal);
    told("Drawing the first frame", 0.95);
    maps = await played(pack, wish);
    signal.throwIfAborted();
  } catch (error) {
    api.deleteScene(scene.id);
    throw error;
  }
  const before = state.scene;
  source = itsSource;
  onServer = edits;
  last = {kind: null, at: 0};
  set({
    ...{phase: "ready", scene, name: scene.name, edits, shown: edits, saved: edits, look: PLAIN, past: [], future: []},
    ...{maps, split: null, before: false, marked: null},
  });
  hideNotice();
  if (before) api.deleteScene(before.id);
  if (!source) keepSource(scene);
  tellWhatWasFound();
}

/** What a scene of the server's own can be opened from again. */
async function keepSource({id, name}) {
  const file = await api.readFile(id).catch(() => null);
  if (file && state.scene.id === id) source = {file, name, size: 1024};
}

/** Newcomers learn what to do where little was found. */
function tellWhatWasFound() {
  const {edits, maps, scene} = state;
  if (!maps) {
    showHint(NOTHING);
  } else if (!edits.length && (scene.warning || scene.moving < LITTLE)) {
    const found = scene.warning ?? `About ${Math.ceil(100 * scene.moving)} % of this photo was found to move.`;
    const words = `${found} Erase what should not move, and paint over what should.`;
    showHint(words, {words: "Show mask", run: () => set({mask: true})});
  }
}

export function stopOpening() {
  opening?.abort();
}

/** Never answers; throws once the signal is given. */
function brokenOff(signal) {
  return new Promise((_, fail) => signal.addEventListener("abort", () => fail(signal.reason), {once: true}));
}

async function ready(scene, told, signal) {
  while (scene.state === "queued" || scene.state === "running") {
    if (scene.state === "queued") told("Waiting for its turn", 0.15);
    else told("Finding what moves", 0.35);
    scene = await api.readScene(scene.id, scene.state === "queued" ? 1 : 20, signal);
  }
  if (scene.state === "failed") throw new api.Problem(scene.problem.status, scene.problem);
  return scene;
}

function owned(edits) {
  return edits.map(edit => ({...edit, own: true}));
}

// --- changing

/** Edits, look or both become others; one step of the history, together with what was like it just before. */
export function change(changes, kind = null) {
  const now = performance.now();
  const goesOn = kind !== null && kind === last.kind && now - last.at < TOGETHER;
  last = {kind, at: now};
  hideNotice();
  const past = goesOn ? state.past : [...state.past, {edits: state.edits, look: state.look}];
  set({...changes, past, future: []});
  kind === null ? sync() : syncSoon();
}

export function addEdit(edit) {
  change({edits: [...state.edits, edit]});
}

export function removeEdit(edit) {
  change({edits: state.edits.filter(other => other !== edit)});
}

export function undo() {
  go("past", "future", "Undone", "There is nothing to undo");
}

export function redo() {
  go("future", "past", "Done again", "There is nothing to do again");
}

function go(from, to, words, none) {
  if (!state[from].length) {
    say(none);
    return;
  }
  const {edits, look} = state[from].at(-1);
  last = {kind: null, at: 0};
  const here = {edits: state.edits, look: state.look};
  set({edits, look, [from]: state[from].slice(0, -1), [to]: [...state[to], here]});
  say(words);
  sync();
}

// --- keeping server and player in step

let again = false, running = null;

/** Has the server and the player catch up with the state: one thing at a time, and only the newest. */
export function sync() {
  if (state.phase !== "ready") return null;
  again = true;
  if (fetching?.wish && !isWanted(fetching.wish)) fetching.abort();
  running ??= catchUp().finally(() => { running = null; });
  return running;
}

const syncSoon = debounced(sync, 220);

async function catchUp() {
  while (again && state.phase === "ready" && !isLost()) {
    again = false;
    try {
      await bring();
    } catch (error) {
      await failed(error);
    }
  }
  if (isLost()) whenBack(sync);
  showBusy(null);
}

async function bring() {
  const {edits, look} = state;
  if (!alike(edits, onServer)) {
    showBusy("Fitting it to the picture");
    await send(edits);
  }
  if (state.phase !== "ready" || !alike(state.edits, onServer)) return;
  const wish = wishFor(state.scene, state.edits, look);
  let {maps} = state;
  if (!same(wish, playing)) {
    const asked = look !== playing.look || !alike(wish.edits, playing.edits);  // or else it is the window's size
    showBusy(asked ? "Setting it in motion" : "");
    fetching = Object.assign(new AbortController(), {wish});
    const pack = await packOf(wish, fetching.signal).finally(() => { fetching = null; });
    if (!isWanted(wish)) return;
    maps = await played(pack, wish);
    if (!maps) showHint(NOTHING);
  }
  set({shown: wish.edits, maps});
}

async function send(edits) {
  try {
    await patch(edits);
  } catch (error) {
    if (error.status !== 422) throw error;
    await sendOneByOne(edits);
  }
}

/** Of edits that the server refuses together only those go that it refuses one by one. */
async function sendOneByOne(edits) {
  const accepted = onServer;
  const kept = edits.filter((edit, at) => alike(edits.slice(0, at + 1), accepted.slice(0, at + 1)));
  for (const edit of edits.slice(kept.length)) {
    try {
      await patch([...kept, edit]);
      kept.push(edit);
    } catch (error) {
      if (error.status !== 422) throw error;
      leaveOut(edit, accepted.includes(edit));
      showError(error.message);
    }
  }
}

async function patch(edits) {
  set({scene: await api.editScene(state.scene.id, edits)});
  onServer = edits;
}

/** An edit goes; out of the history too, unless the server had it once. */
function leaveOut(edit, wasAccepted) {
  const without = ({edits, look}) => ({edits: edits.filter(other => other !== edit), look});
  const here = without(state);
  const differ = (one, other) => one.look !== other.look || !alike(one.edits, other.edits);
  const tidied = steps => steps.map(without).filter((step, at, all) => differ(step, all[at + 1] ?? here));
  set({edits: here.edits});
  if (!wasAccepted) set({past: tidied(state.past), future: tidied(state.future)});
}

async function failed(error) {
  if (error.name === "AbortError" || state.phase !== "ready") return;  // or another photo is being opened
  if (error instanceof api.ServerGone) {
    again = true;
    lose();
  } else if (error.status === 429) {
    again = true;
    showBusy("Waiting for the server, which is busy");
    await new Promise(done => setTimeout(done, 1000 * Math.min(error.retryAfter || 2, 10)));
  } else if (error.status === 404 && source) {
    await reopen();
  } else {
    showError(error.message, {words: "Try again", run: sync});
  }
}

/** The server has forgotten the scene: it gets the file once more. */
async function reopen() {
  showBusy("Opening it again");
  fetching = new AbortController();
  const {signal} = fetching;
  let made = null;
  try {
    made = await api.makeScene(source);
    const scene = await ready(made, () => {}, signal);
    if (state.phase !== "ready") throw new DOMException("Another photo is being opened.", "AbortError");
    onServer = owned(scene.edits);
    set({scene});
    again = true;
  } catch (error) {
    if (made) api.deleteScene(made.id);
    if (error.status === undefined) await failed(error);
    else showError(error.message);
  } finally {
    fetching = null;
  }
}

// --- the live loop's size

/** As fine as the screen shows it, and no finer than plays smoothly; `frame`: ms that one takes. */
export function pace(frame) {
  if (state.exporting || running) return;  // what else the machine does will end
  const now = Math.min(player.width, player.height);
  if (frame > SLOW && now > SIZES[1]) ceiling = SIZES.filter(size => size < now).at(-1);
  else if (frame > QUICK) return;
  if (most === ceiling) return;
  most = ceiling;
  sync();
}

/** What a loop has to be made of: the scene, its edits, and what the service is asked for. */
function wishFor(scene, edits, look) {
  const whole = Math.min(scene.width, scene.height);
  const needed = SIZES.find(size => size >= shortSide(scene) * 0.92) ?? SIZES.at(-1);
  const size = state.full ? whole : Math.min(needed, most, whole);
  const query = new URLSearchParams({size, fps: 30, ...asked({edits, look})});
  return {id: scene.id, edits, look, query: String(query)};
}

function same(one, other) {
  return one.id === other.id && one.query === other.query && alike(one.edits, other.edits);
}

function isWanted(wish) {
  return state.phase === "ready" && same(wish, wishFor(state.scene, state.edits, state.look));
}

/** The pack; null where nothing moves. */
async function packOf(wish, signal) {
  try {
    return await api.readPack(wish.id, wish.query, signal);
  } catch (error) {
    if (error.nothingMoves) return null;
    throw error;
  }
}

/** Has the player play a pack: its maps, with what one needs to draw them over the picture. Null where there is none. */
async function played(pack, wish) {
  if (pack) await player.load(pack);
  playing = wish;
  const {width, height, fps} = player;
  return pack && {...player.maps, width, height, fps};
}

// --- keeping

/** Once the server has all changes, those that it has. Throws where it has not taken them. */
export async function settled() {
  await sync();
  if (!alike(state.edits, onServer)) throw new Error("The last changes have not reached the server; try again.");
  return onServer;
}

/** The scene as a .cine file. */
export async function saved() {
  const edits = await settled();
  const {id} = state.scene;
  const file = await api.readFile(id);
  if (state.scene.id === id) set({saved: edits});
  return file;
}

addEventListener("beforeunload", event => {
  if (isDirty()) event.preventDefault();
});
