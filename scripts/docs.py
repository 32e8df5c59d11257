"""Writes the generated pages of docs/ anew, or with --check fails where one is stale."""

from __future__ import annotations

import sys
from pathlib import Path

from treadle.settings import SETTINGS
from treadle.states import FINAL, TRANSITIONS, Actor, Status, Verb, target_of

DOCS = Path(__file__).parent.parent / "docs"
ACTORS = {
    Actor.PROMOTER: "promoter",
    Actor.WORKER: "worker",
    Actor.SETTLER: "settle, reaper",
    Actor.OPERATOR: "operator, API",
}


def states_page() -> str:
    """The diagram and the table of ``states.py``."""
    lines = [
        "# What can happen to a job",
        "",
        "Generated from `src/treadle/states.py` by `make docs`; do not edit.",
        "",
        "```mermaid",
        "stateDiagram-v2",
        f"    [*] --> {Status.QUEUED}: submit",
        f"    [*] --> {Status.SCHEDULED}: submit for later",
    ]
    for row in TRANSITIONS:
        lines += [f"    {source} --> {row.target}: {row.verb}" for source in Status if source in row.sources]
    lines += [f"    {status} --> [*]" for status in Status if status in FINAL]
    lines += ["```", "", "| verb | from | to | who |", "|---|---|---|---|"]
    for row in TRANSITIONS:
        sources = ", ".join(f"`{s}`" for s in Status if s in row.sources)
        lines.append(f"| {row.verb} | {sources} | `{row.target}` | {ACTORS[row.by]} |")
    forgotten = [
        verb
        for verb in Verb
        if target_of(verb, cancel_requested=True) is Status.CANCELLED and target_of(verb) is not Status.CANCELLED
    ]
    verbs = ", ".join(f"*{verb}*" for verb in forgotten)
    lines += [
        "",
        f"Once a cancel of a running job was requested, {verbs} end in `{Status.CANCELLED}` too:",
        f"from `{Status.PROCESSING}` only *{Verb.COMPLETE}* leads anywhere else.",
        "",
    ]
    return "\n".join(lines)


def settings_page() -> str:
    """The table of ``settings.py``."""
    secrets = ", ".join(f"`{setting.env}`" for setting in SETTINGS if setting.secret)
    lines = [
        "# Settings",
        "",
        "Generated from `src/treadle/settings.py` by `make docs`; do not edit.",
        "",
        "Read from a `.env` file in the working folder, and from the environment, which wins. All problems are",
        "reported together, with exit code 78. `treadle settings` shows the values in force, secrets masked.",
        f"A secret ({secrets}) can stand in a file instead:",
        "`ADMIN_PASS_FILE=/run/secrets/admin_pass`, and so on.",
        "",
        "| name | default | expects | meaning |",
        "|---|---|---|---|",
    ]
    for setting in SETTINGS:
        default = f"`{setting.default}`" if setting.default else ""
        lines.append(f"| `{setting.env}` | {default} | {setting.expects} | {setting.meaning} |")
    return "\n".join([*lines, ""])


def main() -> int:
    """Exit code."""
    pages = {DOCS / "states.md": states_page(), DOCS / "settings.md": settings_page()}
    stale = [page for page, text in pages.items() if not page.exists() or page.read_text("utf-8") != text]
    if "--check" in sys.argv[1:]:
        for page in stale:
            print(f"{page.name} is stale: run make docs")
        return 1 if stale else 0
    for page in stale:
        page.write_text(pages[page], "utf-8")
        print(f"wrote docs/{page.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
