"""Writes the generated pages of docs/ anew, or with --check fails where one is stale."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # scripts.pages, where this file is run by its path

from scripts.pages.commands import commands_page  # noqa: E402
from scripts.pages.diagram import ACTORS, diagram  # noqa: E402
from scripts.pages.errors import errors_page  # noqa: E402
from scripts.pages.routes import routes_page  # noqa: E402
from treadle.settings import SETTINGS  # noqa: E402
from treadle.states import TRANSITIONS, Status, Verb, target_of  # noqa: E402
from treadle.telemetry.metrics import Metrics  # noqa: E402

DOCS = ROOT / "docs"


def states_page() -> str:
    """The diagram and the table of ``states.py``."""
    lines = [
        "# What can happen to a job",
        "",
        "Generated from `src/treadle/states.py` by `make docs`; do not edit.",
        "",
        "![Every status, every verb, and where it leads; the table below says the same](states.svg)",
        "",
        "A column is a status, a row a verb: it begins at a dot and ends at the arrow's tip. Square ones are final.",
        "",
        "| verb | from | to | who |",
        "|---|---|---|---|",
    ]
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


def metrics_page() -> str:
    """The table of ``telemetry/metrics.py``."""
    lines = [
        "# Metrics",
        "",
        "Generated from `src/treadle/telemetry/metrics.py` by `make docs`; do not edit.",
        "[Watching Treadle](operate/watch.md) says how to use them.",
        "A histogram has its buckets under `_bucket`, with `_count` and `_sum`.",
        "Beside these stand the usual figures of the process (`process_resident_memory_bytes` and so on).",
        "",
        "| name | kind | labels | meaning |",
        "|---|---|---|---|",
    ]
    for meter in Metrics().all:
        labels = ", ".join(f"`{label}`" for label in meter.labels)
        lines.append(f"| `{meter.name}` | {meter.kind} | {labels} | {meter.meaning} |")
    return "\n".join([*lines, ""])


def main() -> int:
    """Exit code."""
    made = {
        "states.svg": diagram(),
        "states.md": states_page(),
        "settings.md": settings_page(),
        "routes.md": routes_page(),
        "commands.md": commands_page(),
        "errors.md": errors_page(),
        "metrics.md": metrics_page(),
    }
    pages = {DOCS / name: text for name, text in made.items()}
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
