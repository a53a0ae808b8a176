// Before anything is drawn: light or dark, by what was chosen here last, or else by the system.
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("stylecine.theme");
  } catch { /* the browser keeps nothing for this page */ }
  const light = matchMedia("(prefers-color-scheme: light)").matches;
  document.documentElement.dataset.theme = chosen ?? (light ? "light" : "dark");
}
