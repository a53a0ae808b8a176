// The theme: light, dark, or the system's; the choice is stored.

import {$, setIcon} from "./dom.js";
import {announce} from "./notifications.js";
import {loadSetting, storeSetting} from "./storage.js";

const KEY = "stylecine.theme";
const NEXT = {auto: "light", light: "dark", dark: "auto"};
const LABELS = {auto: "Theme: system", light: "Theme: light", dark: "Theme: dark"};
const systemLight = matchMedia("(prefers-color-scheme: light)");

export function initTheme() {
  $("theme").addEventListener("click", () => {
    const next = NEXT[chosen()];
    storeSetting(KEY, next === "auto" ? null : next);
    apply();
    announce(LABELS[next]);
  });
  systemLight.addEventListener("change", apply);
  apply();
}

function chosen() {
  return loadSetting(KEY) ?? "auto";
}

function apply() {
  const theme = chosen();
  document.documentElement.dataset.theme = theme === "auto" ? (systemLight.matches ? "light" : "dark") : theme;
  setIcon($("theme"), theme);
  $("theme").setAttribute("aria-label", `${LABELS[theme]}. Change it`);
  $("theme").dataset.tip = $("theme-label").textContent = LABELS[theme];
}
