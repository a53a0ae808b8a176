// Sets the theme before the first paint: the stored choice, or the system's.
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("stylecine.theme");
  } catch { /* storage is blocked */ }
  const light = matchMedia("(prefers-color-scheme: light)").matches;
  document.documentElement.dataset.theme = chosen ?? (light ? "light" : "dark");
}
