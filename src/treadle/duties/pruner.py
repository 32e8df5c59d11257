"""Pruner: removes what is past its retention, a small batch at a time, and temporary files nobody will finish."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from treadle.clock import wall_now
from treadle.service.prune import BATCH, prune
from treadle.service.runtime import Runtime

IDLE_SECONDS = 60.0
BUSY_SECONDS = 0.5
"""Pause between full batches: retention must not be felt by submissions."""
STALE_TEMPORARY = timedelta(hours=1)


class Pruner:
    """The duty."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def prune_once(self) -> float:
        """One batch; seconds until the next."""
        removed = await prune(self._runtime)
        if removed >= BATCH:
            return BUSY_SECONDS
        # File times are the machine's own wall clock, so this one comparison is too.
        older_than = (wall_now() - STALE_TEMPORARY).timestamp()
        await asyncio.to_thread(self._runtime.artifacts.remove_stale, older_than)
        return IDLE_SECONDS
