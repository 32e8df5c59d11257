"""Queues: which there are, how deep, and pausing them."""

from __future__ import annotations

from collections.abc import Sequence

from treadle.errors import NotFound
from treadle.service.runtime import Runtime
from treadle.store.protocol import QueueRecord


async def list_queues(runtime: Runtime) -> Sequence[QueueRecord]:
    """Every known queue, by name."""
    return await runtime.store.queues()


async def pause(runtime: Runtime, name: str) -> None:
    """Stop claims from this queue, at once and everywhere; running jobs go on. Raises ``NotFound``."""
    if not await runtime.store.set_paused(name, runtime.clock.now()):
        raise NotFound("no queue has this name")


async def resume(runtime: Runtime, name: str) -> None:
    """Undo ``pause``; what waits is found by the workers' next look. Raises ``NotFound``."""
    if not await runtime.store.set_paused(name, None):
        raise NotFound("no queue has this name")
