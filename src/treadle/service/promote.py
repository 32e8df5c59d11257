"""Promote: scheduled and retrying jobs whose time has come enter their line."""

from __future__ import annotations

from datetime import datetime

from treadle.ids import JobId
from treadle.queue import Priority
from treadle.service.runtime import Runtime

BATCH = 500


async def promote_due(runtime: Runtime) -> tuple[int, datetime | None]:
    """Promote one batch. How many became ready, and when the next one is due."""
    promoted = await runtime.store.promote_due(BATCH, runtime.clock.now())
    lines: dict[tuple[str, Priority], list[JobId]] = {}
    for hint in promoted.hints:
        lines.setdefault((hint.queue, hint.priority), []).append(hint.job_id)
    for (queue, priority), ids in lines.items():
        runtime.dispatch.announce(queue, priority, ids)
    runtime.metrics.promoted.add(len(promoted.hints))
    return len(promoted.hints), promoted.next_run_at
