// Client of the service's HTTP interface; see docs/service.md.

const HEALTH_TIMEOUT = 4000;  // ms

/** The server refused; `message` says why. */
export class Problem extends Error {
  constructor(status, {detail, title, type} = {}, retryAfter = 0) {
    super(detail ?? title ?? "The server could not do this; try again.");
    this.status = status;
    this.nothingMoves = type?.endsWith(":nothing-moves") ?? false;
    this.retryAfter = retryAfter;
  }
}

/** The server does not answer. */
export class ServerGone extends Error {
  constructor() {
    super("The studio's server is not responding.");
    this.name = "ServerGone";
  }
}

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new ServerGone();
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  if (problem.type?.endsWith(":scene-not-ready")) {
    await readScene(path.split("/")[3], 20, options.signal);
    return call(path, options);
  }
  throw new Problem(response.status, problem, Number(response.headers.get("Retry-After")) || 0);
}

async function readJSON(path, options) {
  return (await call(path, options)).json();
}

function sendJSON(method, path, body, headers = {}) {
  const sent = {"Content-Type": "application/json", ...headers};
  return readJSON(path, {method, headers: sent, body: JSON.stringify(body)});
}

/** Uploads a photo, with the maximum short side to work at, or a .cine file. The scene is not ready yet; of a photo, a
 * loop with a short side of `first` can be read before. */
export function makeScene({file, name, size}, first) {
  const query = new URLSearchParams({name, size, wait: 0, ...(first && {first})});
  const headers = {"Content-Type": "application/octet-stream"};
  return readJSON(`/v1/scenes?${query}`, {method: "POST", body: file, headers});
}

/** The scene, after waiting up to `wait` seconds for it to be ready. */
export function readScene(id, wait, signal) {
  return readJSON(`/v1/scenes/${id}?wait=${wait}`, {signal});
}

/** The web pack of the first loop of a scene that is being made, an ArrayBuffer; null if there is none. */
export async function readFirst(id, signal) {
  const response = await call(`/v1/scenes/${id}/first`, {signal});
  return response.status === 204 ? null : response.arrayBuffer();
}

export function deleteScene(id) {
  return call(`/v1/scenes/${id}`, {method: "DELETE"}).catch(() => {});
}

/** Edits of a .cine file are sent as numbers, as only the server has their pixels. */
export function editScene(id, edits) {
  const sent = edits.map(({id, fromServer, ...edit}) => fromServer ? {id} : edit);
  return sendJSON("PATCH", `/v1/scenes/${id}`, {edits: sent});
}

/** The web pack of a loop as an ArrayBuffer; `query` has the loop's options. */
export async function readPack(id, query, signal) {
  return (await call(`/v1/scenes/${id}/live?${query}`, {signal})).arrayBuffer();
}

/** What another wind changes in a web pack, as an ArrayBuffer; `quick`: about as it will look. */
export async function readWind(id, query, quick, signal) {
  return (await call(`/v1/scenes/${id}/wind?${query}&quick=${quick}`, {signal})).arrayBuffer();
}

/** How a loop's last step compares with its others: {seam, goal}; `query` has the loop's options. */
export function readSeam(id, query, signal) {
  return readJSON(`/v1/scenes/${id}/seam?${query}`, {signal});
}

/** Places that move and may be wrong: {stroke, radius, share} of each. */
export async function readDoubts(id) {
  return (await readJSON(`/v1/scenes/${id}/doubts`)).doubts;
}

export async function readCineFile(id) {
  return (await call(`/v1/scenes/${id}/file`)).blob();
}

/** The page that explains a loop, a Blob; `query` has the loop's options. */
export async function readExplanation(id, query, signal) {
  return (await call(explanationURL(id, query), {signal})).blob();
}

export function explanationURL(id, query) {
  return `/v1/scenes/${id}/explanation?${query}`;
}

/** How far the page is that readExplanation waits for: {share} of the whole. */
export function readExplanationProgress(id) {
  return readJSON(`/v1/scenes/${id}/explanation/progress`);
}

/** The edit of kind style for the appearance of a photo, a File. */
export function makeStyle(id, file) {
  const query = new URLSearchParams({name: file.name});
  const headers = {"Content-Type": "application/octet-stream"};
  return readJSON(`/v1/scenes/${id}/styles?${query}`, {method: "POST", body: file, headers});
}

/** The photo as it is and in every style, side by side. */
export function stylesURL(id) {
  return `/v1/scenes/${id}/styles`;
}

export function photoURL(id) {
  return `/v1/scenes/${id}/photo`;
}

export function makeAnimation(options) {
  const key = crypto.randomUUID?.() ?? String(Math.random());
  return sendJSON("POST", "/v1/animations", options, {"Idempotency-Key": key});
}

export function cancelAnimation(id) {
  return call(`/v1/animations/${id}`, {method: "DELETE"});
}

export function readAnimation(id) {
  return readJSON(`/v1/animations/${id}`);
}

export async function isServerUp() {
  try {
    return (await fetch("/health", {cache: "no-store", signal: AbortSignal.timeout(HEALTH_TIMEOUT)})).ok;
  } catch {
    return false;
  }
}
