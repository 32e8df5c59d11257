"""``Duties``: all of them, started and stopped together."""

from __future__ import annotations

import asyncio

from treadle.duties.loop import repeat
from treadle.duties.promoter import Promoter
from treadle.duties.pruner import Pruner
from treadle.duties.publisher import Publisher
from treadle.duties.reaper import Reaper
from treadle.service.runtime import Runtime


class Duties:
    """Runs the duties of one process."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start them all."""
        chance, errors = self._runtime.chance, self._runtime.metrics.duty_errors
        reaper = Reaper(self._runtime)
        for name, once in (
            ("promoter", Promoter(self._runtime, lambda: reaper.living).promote_once),
            ("reaper", reaper.reap_once),
            ("pruner", Pruner(self._runtime).prune_once),
            ("publisher", Publisher(self._runtime).publish_once),
        ):
            self._tasks.append(asyncio.create_task(repeat(name, once, chance, errors), name=f"duty {name}"))

    async def stop(self) -> None:
        """Stop them; each is safe to stop anywhere."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
