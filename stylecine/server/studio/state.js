// What the page knows, in one place. Whoever shows a part of it watches that part.

export const state = {
  phase: "start",  // start, opening, ready
  scene: null,  // as the server tells it
  name: "",
  edits: [],  // wanted; as the server's interface has them
  shown: [],  // the edits of the loop that is playing
  saved: [],  // those of the file that was saved, or exported, last
  look: {speed: 1, seconds: 4, detail: 1, wind: [0, 0.5]},  // degrees and strength, of cloth
  past: [], future: [],  // {edits, look}
  tool: "view",
  what: "water",  // to paint
  radii: {paint: 0.04, erase: 0.04, freeze: 0.04, speed: 0.08, anchor: 0.12},  // of the short side
  factor: 2,  // of the speed brush
  mask: false, flow: false,  // overlays
  split: null,  // where before and after meet, 0 to 1
  before: false,
  exporting: null,  // the AbortController of an export while it is made
  full: false,  // whether the loop plays at the photo's full size
  maps: null,  // the player's, while anything moves
  marked: null,  // the edit that is pointed out on the picture
};

const watchers = [];

/** Changes some of the state and tells whoever watches it. */
export function set(changes) {
  const changed = Object.keys(changes).filter(name => state[name] !== changes[name]);
  Object.assign(state, changes);
  for (const [names, told] of watchers) {
    if (names.some(name => changed.includes(name))) told();
  }
}

/** Calls `told` now, and whenever one of these changes. */
export function watch(names, told) {
  watchers.push([names, told]);
  told();
}

/** Whether two lists hold the same edits. */
export function alike(one, other) {
  return one.length === other.length && one.every((edit, at) => edit === other[at]);
}

/** Whether anything was painted as cloth. */
export function hasCloth(edits) {
  return edits.some(({kind, mode, what}) => kind === "paint" && mode === "add" && what === "cloth");
}

/** What the service is asked for so that all moves that can, and as the person wants it. */
export function asked({edits, look: {wind, ...look}}) {
  return {...look, subject: "auto", ...(hasCloth(edits) && {wind})};
}

/** What a file made of the photo is called. */
export function fileName(ending) {
  return `${state.name.replace(/\.[^.]*$/, "")}.${ending}`;
}

export function isDirty() {
  return state.phase === "ready" && !alike(state.edits, state.saved);
}
