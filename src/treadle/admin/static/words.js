// What an action did stands at the top; what went wrong too, instead of replacing the page.

const SHOWN_MILLISECONDS = 15000;

export function sayWhatHappens() {
  const trouble = document.getElementById("trouble");
  let timer = null;

  const complain = (text) => {
    trouble.textContent = text;
    trouble.hidden = false;
    clearTimeout(timer);
    timer = setTimeout(() => (trouble.hidden = true), SHOWN_MILLISECONDS);
  };

  const isAction = (event) => event.detail.ctx?.sourceElement?.matches?.("form");

  document.body.addEventListener("htmx:response:error", (event) => {
    if (!isAction(event)) return; // a refresh that failed: the badge says so
    const page = new DOMParser().parseFromString(event.detail.ctx.text, "text/html");
    complain(page.getElementById("problem")?.textContent ?? `The server answered ${event.detail.ctx.response.status}.`);
  });
  document.body.addEventListener("htmx:error", (event) => {
    if (isAction(event)) complain("The server could not be reached; nothing is known of what became of it.");
  });
  document.body.addEventListener("htmx:before:request", (event) => {
    if (isAction(event)) trouble.hidden = true;
  });

  // A reload should not tell it again.
  const address = new URL(location.href);
  for (const name of ["did", "job", "count"]) address.searchParams.delete(name);
  if (address.href !== location.href) history.replaceState(null, "", address);

  document.addEventListener("change", (event) => {
    if (event.target.id !== "choose-all") return;
    for (const box of document.querySelectorAll('input[name="chosen"]')) box.checked = event.target.checked;
  });
  const revealChoice = () => document.querySelectorAll(".all[hidden]").forEach((label) => (label.hidden = false));
  revealChoice();
  document.body.addEventListener("htmx:after:swap", revealChoice);
}
