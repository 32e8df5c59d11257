"""Promoter: puts jobs whose time has come into their line."""

from __future__ import annotations

from collections.abc import Callable

from treadle.service.promote import BATCH, promote_due
from treadle.service.runtime import Runtime

LOOKS = 5
"""Looks of all processes together, in the time in which one alone would look once."""


class Promoter:
    """Sleeps until the next job is due, at most ``poll_seconds``: something earlier may be submitted meanwhile.

    Where many workers look, each looks less often: a hundred of them would ask a hundred times a second.
    """

    def __init__(self, runtime: Runtime, workers: Callable[[], int] = lambda: 1) -> None:
        """``workers``: how many there are in all, as far as is known."""
        self._runtime = runtime
        self._workers = workers

    async def promote_once(self) -> float:
        """Promote a batch; seconds until the next look."""
        longest_seconds = self._longest_seconds
        count, next_run_at = await promote_due(self._runtime)
        if count == BATCH:
            return 0.0
        if next_run_at is None:
            return longest_seconds
        due_seconds = (next_run_at - self._runtime.clock.now()).total_seconds()
        return min(max(due_seconds, 0.0), longest_seconds)

    @property
    def _longest_seconds(self) -> float:
        """Never beyond the longest time that a job without a hint waits, in case that all others have just ended."""
        settings = self._runtime.settings
        shared_seconds = settings.poll_seconds * self._workers() / LOOKS
        return max(settings.poll_seconds, min(shared_seconds, settings.reconcile_seconds))
