// The photo at hand: opened, edited, kept in step with the server and with the player.

import * as api from "./api.js";
import {hideNotice, say, showBusy, showNotice} from "./announce.js";
import {isLost, lose, whenBack} from "./connection.js";
import {debounced} from "./dom.js";
import {isDirty, set, state} from "./state.js";

const PLAIN = {speed: 1, seconds: 4, detail: 1};
const SIZES = [240, 320, 400, 512, 640, 768, 900, 1080, 1440, 2160];  // of the live loop's short side
const FIRST = 400;  // of them, so that there is something to see soon
const [QUICK, SLOW] = [36, 72];  // ms a frame
const NOTHING = "Nothing moves in this photo so far; paint over what should.";
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
let opening = null, fetching = null;  // AbortControllers
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
  return show(signal => made(given, told, signal), given, told);
}

/** Opens a scene that the server has already. */
export function openScene(id, told) {
  return show(async signal => ready(await api.readScene(id, 0, signal), told, signal), null, told);
}

async function show(sceneOf, itsSource, told) {
  opening?.abort();
  const mine = opening = new AbortController();
  const before = state.scene;
  fetching?.abort();
  const scene = await sceneOf(mine.signal);
  await hasBegun;
  told("Setting it in motion", 0.7);
  const edits = owned(scene.edits);
  const wish = wishFor(scene, edits, PLAIN);
  const pack = await packOf(wish, mine.signal);
  told("Drawing the first frame", 0.95);
  const maps = await played(pack, wish);
  source = itsSource;
  onServer = edits;
  last = {kind: null, at: 0};
  set({
    ...{phase: "ready", scene, name: scene.name, edits, shown: edits, saved: edits, look: PLAIN, past: [], future: []},
    ...{maps, split: null, before: false, marked: null},
  });
  hideNotice();
  if (before) api.deleteScene(before.id);
  if (!maps) showNotice(NOTHING);
}

export function stopOpening() {
  opening?.abort();
}

async function made(given, told, signal) {
  told("Sending the photo", 0.08);
  return ready(await api.makeScene(given, signal), told, signal);
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
  if (fetching && !isWanted(fetching.wish)) fetching.abort();
  running ??= catchUp().finally(() => { running = null; });
  return running;
}

export const syncSoon = debounced(sync, 220);

async function catchUp() {
  while (again && !isLost()) {
    again = false;
    try {
      await bring();
    } catch (error) {
      await failed(error);
    }
  }
  if (again) whenBack(sync);
  showBusy(null);
}

async function bring() {
  const {edits, scene} = state;
  if (edits !== onServer) {
    showBusy("Fitting it to the picture");
    set({scene: await api.editScene(scene.id, edits)});
    onServer = edits;
    if (state.edits !== edits) return;
  }
  const wish = wishFor(state.scene, edits, state.look);
  let {maps} = state;
  if (!same(wish, playing)) {
    showBusy("Setting it in motion");
    fetching = Object.assign(new AbortController(), {wish});
    const pack = await packOf(wish, fetching.signal).finally(() => { fetching = null; });
    if (!isWanted(wish)) return;
    maps = await played(pack, wish);
    if (!maps) showNotice(NOTHING);
  }
  set({shown: edits, maps});
}

async function failed(error) {
  if (error.name === "AbortError") return;
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
    const refused = state.edits !== onServer;
    takeBack();
    showNotice(error.message, refused ? null : {words: "Try again", run: sync});
  }
}

/** The server has forgotten the scene: it gets the file once more. */
async function reopen() {
  showBusy("Opening it again");
  try {
    const scene = await made(source, () => {});
    onServer = state.edits.every(edit => edit.own) && state.edits.length === scene.edits.length ? state.edits : [];
    playing = {};
    set({scene});
    again = true;
  } catch (error) {
    if (error instanceof api.ServerGone) await failed(error);
    else showNotice(error.message);
  }
}

/** What the server refused is undone. */
function takeBack() {
  if (state.edits === onServer) return;
  const past = state.past.at(-1)?.edits === onServer ? state.past.slice(0, -1) : state.past;
  set({edits: onServer, past});
}

// --- the live loop's size

/** As fine as the screen shows it, and no finer than plays smoothly; `frame`: ms that one takes. */
export function pace(frame) {
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
  const query = new URLSearchParams({size, seconds: look.seconds, fps: 30, speed: look.speed, detail: look.detail});
  return {id: scene.id, edits, query: String(query)};
}

function same(one, other) {
  return one.id === other.id && one.edits === other.edits && one.query === other.query;
}

function isWanted(wish) {
  return same(wish, wishFor(state.scene, state.edits, state.look));
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

/** The scene as a .cine file. */
export async function saved() {
  await sync();
  const file = await api.readFile(state.scene.id);
  set({saved: state.edits});
  return file;
}

addEventListener("beforeunload", event => {
  if (isDirty()) event.preventDefault();
});
