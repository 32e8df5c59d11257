"""Promoter: puts jobs whose time has come into their line."""

from __future__ import annotations

from treadle.service.promote import BATCH, promote_due
from treadle.service.runtime import Runtime


class Promoter:
    """Sleeps until the next job is due, at most ``poll_seconds``: something earlier may be submitted meanwhile."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def promote_once(self) -> float:
        """Promote a batch; seconds until the next look."""
        longest_seconds = self._runtime.settings.poll_seconds
        count, next_run_at = await promote_due(self._runtime)
        if count == BATCH:
            return 0.0
        if next_run_at is None:
            return longest_seconds
        due_seconds = (next_run_at - self._runtime.clock.now()).total_seconds()
        return min(max(due_seconds, 0.0), longest_seconds)
