"""``make torture``: the long form, from the command line."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
from pathlib import Path

from tests.servers import running
from tests.torture.run import Options, Report, torture
from tests.torture.rungs import RUNGS


def main() -> int:
    """0: every promise was kept. 1: see the table. 2: wrong usage."""
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    if any(options.folder.iterdir()):
        print(f"{options.folder} is not empty: a run needs a folder of its own", file=sys.stderr)
        return 2
    print(
        f"torture: {options.rung}, {options.jobs} jobs over {options.seconds:g} s, a fault every "
        f"{options.every_seconds:g} s or so, seed {options.seed}; everything is kept in {options.folder}",
        flush=True,
    )
    try:
        report = asyncio.run(torture(options, lambda line: print(line, flush=True)))
    finally:
        running.end_all()
    text = summary(options, report)
    (options.folder / "summary.txt").write_text(text)
    print(text, flush=True)
    return 0 if report.is_good else 1


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("--rung", choices=sorted(RUNGS), default="sqlite")
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=300, help="over which they are submitted under faults")
    parser.add_argument("--every", type=float, default=3.5, help="seconds between two faults, about")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--folder", type=Path, help="for logs and records; an empty one")
    parser.add_argument("--concurrency", type=int, default=8, help="of each of the four workers")
    told = parser.parse_args()
    folder = told.folder or Path(tempfile.mkdtemp(prefix="treadle-torture-"))
    return Options(told.rung, told.jobs, told.seed, told.seconds, told.every, told.concurrency, folder.resolve())


def summary(options: Options, report: Report) -> str:
    """A table of what was done, what came of it, and the verdict."""
    sections = {
        "faults": report.faults,
        "what submitters were answered": report.answers,
        "what the mail server did": report.mail,
        "what the processes said": report.said,
        "the records": report.verdict.numbers,
    }
    lines = [f"rung {options.rung}, seed {options.seed}, {report.seconds:g} s, load {os.getloadavg()[0]:.1f}"]
    for title, counts in sections.items():
        lines += ["", title, *(f"  {name:<42}{count:>8}" for name, count in sorted(counts.items()))]
    lines += ["", str(report.verdict), *(f"FAIL the run was asleep: {what}" for what in report.rare), ""]
    lines.append("GOOD" if report.is_good else "BROKEN")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
