// System, light, dark, and round again.

const ORDER = ["system", "light", "dark"];

export function offerThemes() {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const now = () => root.dataset.theme ?? "system";
  const label = () => {
    button.textContent = { system: "Auto", light: "Light", dark: "Dark" }[now()];
    button.setAttribute("aria-label", `Theme: ${button.textContent}`);
  };
  button.hidden = false;
  label();
  button.addEventListener("click", () => {
    const next = ORDER[(ORDER.indexOf(now()) + 1) % ORDER.length];
    if (next === "system") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      localStorage.setItem("treadle-theme", next);
    } catch {
      // Then it lasts as long as the page.
    }
    label();
  });
}
