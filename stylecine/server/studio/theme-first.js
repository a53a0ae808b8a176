// Before anything is drawn: light or dark, by what was chosen here last, or else by the system.
{
  const chosen = localStorage.getItem("stylecine.theme");
  const light = matchMedia("(prefers-color-scheme: light)").matches;
  document.documentElement.dataset.theme = chosen ?? (light ? "light" : "dark");
}
