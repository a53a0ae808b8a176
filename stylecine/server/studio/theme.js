// Light, dark, or as the system has it; a choice is remembered.

import {$, setIcon} from "./dom.js";
import {say} from "./announce.js";
import {keep, kept} from "./kept.js";

const KEY = "stylecine.theme";
const NEXT = {auto: "light", light: "dark", dark: "auto"};
const WORDS = {auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark"};
const system = matchMedia("(prefers-color-scheme: light)");

export function beginTheme() {
  $("theme").addEventListener("click", () => {
    const next = NEXT[chosen()];
    keep(KEY, next === "auto" ? null : next);
    apply();
    say(WORDS[next]);
  });
  system.addEventListener("change", apply);
  apply();
}

function chosen() {
  return kept(KEY) ?? "auto";
}

function apply() {
  const now = chosen();
  document.documentElement.dataset.theme = now === "auto" ? (system.matches ? "light" : "dark") : now;
  setIcon($("theme"), now);
  $("theme").setAttribute("aria-label", `${WORDS[now]}. Change it`);
  $("theme").dataset.tip = WORDS[now];
  $("theme-word").textContent = WORDS[now];
}
