"""Measure: how things stand in the store, looked up for a scrape, seldom and within bounds."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from treadle.queue import Priority
from treadle.service.runtime import Runtime
from treadle.store.protocol import QueueRecord
from treadle.telemetry.meters import Gauge

logger = logging.getLogger("treadle.service")

MAX_AGE_SECONDS = 5.0
"""Any number of scrapers cost the store one look in this time."""
LOOK_SECONDS = 2.0
"""A scrape waits no longer: Prometheus gives up after ten, and what is known should still be told."""


class Measuring:
    """Renews the gauges of one process that are read from its store; every read of it is bounded."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._task: asyncio.Task[None] | None = None
        self._measured_at: float | None = None

    async def renew(self) -> None:
        """See to it that the gauges are fresh; what cannot be looked up is absent, and ``treadle_store_up`` is 0.

        One look at a time, shared by all who ask. Never raises.
        """
        if self._task is None or self._task.done():
            now = self._runtime.clock.rising()
            if self._measured_at is not None and now - self._measured_at < MAX_AGE_SECONDS:
                return
            self._task = asyncio.create_task(self._look(now))
        task = self._task
        await asyncio.wait((task,), timeout=LOOK_SECONDS)
        if not task.done():
            self._store_is_away()

    async def _look(self, now: float) -> None:
        try:
            await self._look_at_store()
        except Exception as error:
            # An outage is told by the gauge, by the duties and by /health; only a bug needs words of its own.
            logger.debug("the store could not be measured (%s)", type(error).__name__)
            self._store_is_away()
        else:
            self._runtime.metrics.store_up.tell(1)
        await self._look_around()
        self._measured_at = now

    async def _look_at_store(self) -> None:
        runtime, metrics = self._runtime, self._runtime.metrics
        await runtime.store.ping()
        queues = await runtime.store.queues()
        counts = await runtime.store.counts()
        workers = await runtime.store.workers()
        metrics.queue_jobs.replace(_depths(queues))
        metrics.queue_oldest.replace(_ages(queues, runtime.clock.now()))
        metrics.queue_paused.replace({(queue.name,): float(queue.paused_at is not None) for queue in queues})
        metrics.stored.replace({(status.value,): count for status, count in counts.items()})
        metrics.workers.tell(len(workers))
        metrics.worker_slots.tell(sum(worker.concurrency for worker in workers))
        metrics.worker_used.tell(sum(worker.running for worker in workers))

    async def _look_around(self) -> None:
        runtime = self._runtime
        try:
            await runtime.dispatch.check()
        except Exception:
            runtime.metrics.hints_up.tell(0)
        else:
            runtime.metrics.hints_up.tell(1)
        folders = {"data": runtime.settings.data_dir, "output": runtime.settings.output_dir}
        runtime.metrics.disk_free.replace(await asyncio.to_thread(_free_bytes, folders))

    def _store_is_away(self) -> None:
        metrics = self._runtime.metrics
        metrics.store_up.tell(0)
        read: tuple[Gauge, ...] = (
            metrics.queue_jobs,
            metrics.queue_oldest,
            metrics.queue_paused,
            metrics.stored,
            metrics.workers,
            metrics.worker_slots,
            metrics.worker_used,
        )
        for gauge in read:
            gauge.replace({})


def _depths(queues: Iterable[QueueRecord]) -> dict[tuple[str, ...], float]:
    depths: dict[tuple[str, ...], float] = {}
    for queue in queues:
        depths[(queue.name, Priority.HIGH.label)] = queue.high
        depths[(queue.name, Priority.DEFAULT.label)] = queue.default
    return depths


def _ages(queues: Iterable[QueueRecord], now: datetime) -> dict[tuple[str, ...], float]:
    ages: dict[tuple[str, ...], float] = {}
    for queue in queues:
        ages[(queue.name, Priority.HIGH.label)] = _age(queue.oldest_high_at, now)
        ages[(queue.name, Priority.DEFAULT.label)] = _age(queue.oldest_default_at, now)
    return ages


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())


def _free_bytes(folders: dict[str, Path]) -> dict[tuple[str, ...], float]:
    free: dict[tuple[str, ...], float] = {}
    for name, folder in folders.items():
        try:
            free[(name,)] = shutil.disk_usage(folder).free
        except OSError:  # it is not there: a process on PostgreSQL has no data folder
            continue
    return free
