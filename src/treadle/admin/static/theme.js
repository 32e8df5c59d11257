// Runs before the page is drawn, so that a chosen theme does not flash in late.
(() => {
  const root = document.documentElement;
  root.dataset.scripts = "";
  let chosen = null;
  try {
    chosen = localStorage.getItem("treadle-theme");
  } catch {
    // Storage may be forbidden; the system's theme is then what there is.
  }
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
})();
