// Persistent settings; if the browser blocks storage, they last as long as the page.

const fallback = new Map();

export function loadSetting(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return fallback.get(key) ?? null;
  }
}

/** null removes it. */
export function storeSetting(key, value) {
  try {
    value === null ? localStorage.removeItem(key) : localStorage.setItem(key, value);
  } catch {
    fallback.set(key, value);
  }
}
