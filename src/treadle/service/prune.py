"""Prune: final jobs past their retention go, in small batches; never a file in the output folder."""

from __future__ import annotations

from datetime import timedelta

from treadle.service.runtime import Runtime
from treadle.states import Status
from treadle.store.protocol import Expiry

BATCH = 1000


async def prune(runtime: Runtime) -> int:
    """Delete one batch; how many jobs went, counted by status. Zero days in a setting keeps that status for ever."""
    now = runtime.clock.now()
    settings = runtime.settings
    days = {
        Status.COMPLETED: settings.retention_completed_days,
        Status.FAILED: settings.retention_failed_days,
        Status.DEAD: settings.retention_dead_days,
        Status.CANCELLED: settings.retention_cancelled_days,
    }
    expiries = [Expiry(status, now - timedelta(days=kept)) for status, kept in days.items() if kept > 0]
    removed = await runtime.store.prune(expiries, BATCH, now)
    for status, count in removed.items():
        runtime.metrics.pruned.add(count, status.value)
    return sum(removed.values())
