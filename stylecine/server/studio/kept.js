// What the browser keeps for this page from one visit to the next, or this page alone where it may keep nothing.

const here = new Map();

export function kept(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return here.get(key) ?? null;
  }
}

/** null: no more. */
export function keep(key, value) {
  try {
    value === null ? localStorage.removeItem(key) : localStorage.setItem(key, value);
  } catch {
    here.set(key, value);
  }
}
