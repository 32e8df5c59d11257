"""``Screen``: what goes on, on standard error, while it goes on; nothing where that is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

REFRESHES_PER_SECOND = 4
"""Drawing costs the machine that is measured: as little of it as people can bear."""

Tell = Callable[[int], None]


class Screen:
    """A bar a phase."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            refresh_per_second=REFRESHES_PER_SECOND,
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self) -> Screen:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @contextmanager
    def phase(self, name: str, total: int | None = None) -> Iterator[Tell]:
        """A bar; what it gives is told how far the phase is."""
        task = self._progress.add_task(name, total=total)
        yield lambda done: self._progress.update(task, completed=done)
        self._progress.stop_task(task)
