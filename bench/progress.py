"""What a run shows while it goes on: how far it is, what it measures now, what it has just found."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.results import Results
from bench.run import run
from bench.sample import Log, Sample
from bench.scene import Contest, Scene
from bench.table import bar_text, measure, number, verdict_word

console = Console(stderr=True, highlight=False)


def run_shown(scene: Scene, contests: Sequence[Contest], log: Log) -> None:
    """Take every sample that is not taken yet, with progress on the screen."""
    columns = (
        SpinnerColumn(),
        MofNCompleteColumn(),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    # Drawn seldom: every drawing is taken from what is measured.
    with Progress(*columns, console=console, refresh_per_second=1) as progress:
        task = progress.add_task("", total=None)

        def tell(sample: Sample, done: int, of: int) -> None:
            progress.update(task, completed=done, total=of)
            first = next(iter(sample.values.items()), None)
            what = f"{number(first[1])} {first[0]}" if first else f"[red]{sample.error.splitlines()[0][:200]}[/red]"
            progress.console.print(f"{time.strftime('%H:%M:%S')} {sample.contest} {sample.round} {sample.side}: {what}")

        run(scene, contests, log, lambda what: progress.update(task, description=what), tell)


def begin(log: Log, *, resume: bool) -> None:
    """A new run, or the interrupted one where it is asked for and fits; says which."""
    if resume and log.resume():
        console.print(f"Going on after {len(log.samples)} samples.")
        return
    if resume:
        console.print("There is no interrupted run of these peers and sizes; starting anew.")
    log.begin()


def samples_of(log: Log, contest: Contest) -> list[Sample]:
    """Those of one contest."""
    return [sample for sample in log.samples if sample.contest == contest.name]


def show(found: Results) -> None:
    """What fits a terminal; the files say more."""
    for name, title in found.contests.items():
        table = Table("against", "min", "median", "max", "bar", "", title=title, title_justify="left", box=None)
        for row in (verdict for verdict in found.verdicts if verdict.contest == name):
            spread = (row.minimum, row.median, row.maximum) if row.values else (None, None, None)
            cells = (measure(value, row.unit) for value in spread)
            table.add_row(found.name_of(row.against), *cells, bar_text(row.bar, row.unit), verdict_word(row).strip("*"))
        Console().print(table)
