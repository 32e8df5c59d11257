// One hand on the keyboard: rows, pages, actions. The list of keys stands in the page's dialog.

const CHORD_MILLISECONDS = 1500;

export function listenToKeys() {
  const help = document.getElementById("keys");
  const opener = document.getElementById("help");
  let isGoing = false;

  const rows = () => [...document.querySelectorAll("[data-row]")];
  const current = () => document.activeElement?.closest?.("[data-row]") ?? null;
  const handle = (row) => row.querySelector("[data-open], button, input") ?? row;

  const step = (by) => {
    const all = rows();
    if (all.length === 0) return;
    const at = all.indexOf(current());
    const next = at === -1 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1);
    const target = handle(all[next]);
    if (target === all[next]) target.tabIndex = -1;
    target.focus();
    all[next].scrollIntoView({ block: "nearest" });
  };

  const press = (letter) => {
    // On a job's own page the actions stand in no row.
    const place = current() ?? document.querySelector(".heading");
    place?.querySelector(`button[data-key="${letter}"]`)?.click();
  };

  const act = (key) => {
    if (key === "j") step(1);
    else if (key === "k") step(-1);
    else if (key === "x") current()?.querySelector('input[type="checkbox"]')?.click();
    else if (key === "/") document.querySelector(".filters input:not([type=hidden])")?.focus();
    else if (key === "n" || key === "p") document.querySelector(`[data-turn="${key}"]`)?.click();
    else if (key === "?") help.showModal();
    else if (key === "r" || key === "D" || key === "C") press(key);
    else return false;
    return true;
  };

  opener.hidden = false;
  opener.addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    if (event.target.matches("input:not([type=checkbox]), select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (isGoing) {
      isGoing = false;
      document.querySelector(`[data-go="${CSS.escape(event.key)}"]`)?.click();
      return;
    }
    if (event.key === "g") {
      isGoing = true;
      setTimeout(() => (isGoing = false), CHORD_MILLISECONDS);
      return;
    }
    if (act(event.key)) event.preventDefault();
  });
}
