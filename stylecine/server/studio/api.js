// The service's HTTP interface, docs/service.md.

const PATIENCE = 4000;  // ms for which a server may be silent before it counts as gone

/** What the server refused, with its sentence. */
export class Problem extends Error {
  constructor(status, {detail, title, type} = {}, retryAfter = 0) {
    super(detail ?? title ?? "The server could not do this; try again.");
    this.status = status;
    this.nothingMoves = type?.endsWith(":nothing-moves") ?? false;
    this.retryAfter = retryAfter;
  }
}

/** Nobody answers. */
export class ServerGone extends Error {
  constructor() {
    super("The studio's server does not answer.");
    this.name = "ServerGone";
  }
}

async function call(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new ServerGone();
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new Problem(answer.status, told, Number(answer.headers.get("Retry-After")) || 0);
}

async function asked(path, method, body, options = {}) {
  const headers = {"Content-Type": "application/json", ...options.headers};
  return (await call(path, {...options, method, headers, body: JSON.stringify(body)})).json();
}

/** Sends a photo, which is worked on at a short side of `size` at most, or a .cine file; the scene is still to be made. */
export async function makeScene({file, name, size}) {
  const query = new URLSearchParams({name, size, wait: 0});
  const headers = {"Content-Type": "application/octet-stream"};
  return (await call(`/v1/scenes?${query}`, {method: "POST", body: file, headers})).json();
}

/** The scene, at once or after some seconds of waiting for it. */
export async function readScene(id, wait, signal) {
  return (await call(`/v1/scenes/${id}?wait=${wait}`, {signal})).json();
}

export function deleteScene(id) {
  return call(`/v1/scenes/${id}`, {method: "DELETE"}).catch(() => {});
}

export function editScene(id, edits) {
  return asked(`/v1/scenes/${id}`, "PATCH", {edits: edits.map(told)});
}

/** The pack of a loop, an ArrayBuffer; `query` says how large, long and quick. */
export async function readPack(id, query, signal) {
  return (await call(`/v1/scenes/${id}/live?${query}`, {signal})).arrayBuffer();
}

export async function readFile(id) {
  return (await call(`/v1/scenes/${id}/file`)).blob();
}

export function photoOf(id) {
  return `/v1/scenes/${id}/photo`;
}

export function makeAnimation(wanted) {
  const headers = {"Idempotency-Key": crypto.randomUUID?.() ?? String(Math.random())};
  return asked("/v1/animations", "POST", wanted, {headers});
}

export function cancelAnimation(id) {
  return call(`/v1/animations/${id}`, {method: "DELETE"});
}

export async function readAnimation(id) {
  return (await call(`/v1/animations/${id}`)).json();
}

export async function isThere() {
  try {
    return (await fetch("/health", {cache: "no-store", signal: AbortSignal.timeout(PATIENCE)})).ok;
  } catch {
    return false;
  }
}

/** An edit as the server wants it: those of a .cine file by number, as their pixels are only there. */
function told({id, own, ...edit}) {
  return own ? {id} : edit;
}
