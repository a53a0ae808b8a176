// The state of the page; views watch the parts that they show.

import {OPTIONS, TOOLS} from "./declared.js";  // made by the service: server/declared.py

const shown = Object.entries(OPTIONS).filter(([, {label}]) => label);  // in the panel

export const state = {
  phase: "start",  // start, opening, ready
  scene: null,  // as sent by the server
  name: "",
  edits: [],  // the wanted ones, as the service expects them
  renderedEdits: [],  // those in the current loop
  savedEdits: [],  // those in the last saved or exported file
  // of the loop; the wind is null until it is turned
  options: {...Object.fromEntries(shown.map(([name, option]) => [name, option.default])), wind: null},
  past: [], future: [],  // history, {edits, options}
  tool: "view",
  paintClass: "water",
  // of the short side
  radii: Object.fromEntries(TOOLS.filter(tool => tool.radius).map(tool => [tool.id, tool.radius])),
  factor: 2,  // of the speed brush
  mask: false, flow: false,  // overlays
  turning: false,  // whether the wind's arrow is held
  hurried: false,  // whether it is on a machine that draws slowly
  following: false,  // whether drafts in its winds are on their way
  split: null,  // position of the divider between before and after, 0 to 1
  before: false,
  seam: false, slow: false,  // whether the seam is looked at, and at half speed
  doubts: null,  // what the mask is unsure of: the edits that would freeze it; null until the server was asked
  dismissed: [],  // those doubts that the user does not share
  checking: false,  // whether they are shown
  checked: 0,  // which of the open ones
  exporting: null,  // the AbortController of a running export
  fullSize: false,  // whether previews have the photo's size
  maps: null,  // the player's, and their size; null while nothing moves
  highlighted: null,  // the edit that is highlighted on the picture
};

const watchers = [];

/** Changes parts of the state and calls their watchers. */
export function set(changes) {
  const changed = Object.keys(changes).filter(name => state[name] !== changes[name]);
  Object.assign(state, changes);
  for (const [names, callback] of watchers) {
    if (names.some(name => changed.includes(name))) callback();
  }
}

/** Calls `callback` now, and whenever one of these parts changes. */
export function watch(names, callback) {
  watchers.push([names, callback]);
  callback();
}

/** The doubts that are neither frozen nor dismissed. */
export function openDoubts() {
  return (state.doubts ?? []).filter(edit => !state.edits.includes(edit) && !state.dismissed.includes(edit));
}

/** All states of the edits and options, {edits, options}, the oldest first; the current one is at `past.length`. */
export function history() {
  const {edits, options, past, future} = state;
  return [...past, {edits, options}, ...future.toReversed()];
}

export function toolOf(id) {
  return TOOLS.find(tool => tool.id === id);
}

export function sameEdits(a, b) {
  return a.length === b.length && a.every((edit, index) => edit === b[index]);
}

export function hasCloth(edits) {
  return edits.some(({kind, mode, what}) => kind === "paint" && mode === "add" && what === "cloth");
}

/** The wind that is shown: without one cloth and weather have the default. */
export function shownWind() {
  return state.options.wind ?? OPTIONS.wind.default;
}

/** Whether any wind blows. */
export function isWindy() {
  return state.options.wind !== null || state.options.weather !== null || hasCloth(state.edits);
}

/** The options of a loop, as the service expects them: everything that can move does. */
export function renderOptions({options: {wind, weather, weather_strength, ...options}}) {
  return {...options, subject: "auto", ...(weather && {weather, weather_strength}), ...(wind && {wind})};
}

/** The name of a file made from the photo. */
export function fileName(extension) {
  return `${state.name.replace(/\.[^.]*$/, "")}.${extension}`;
}

export function isDirty() {
  return state.phase === "ready" && !sameEdits(state.edits, state.savedEdits);
}
