"""Lease: the beat that says this process lives, and that learns what has become of its jobs."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from collections.abc import Sequence
from contextlib import suppress

from treadle.errors import Unavailable
from treadle.ids import JobId, WorkerId, new_worker_id
from treadle.service import workers
from treadle.service.runtime import Runtime
from treadle.service.settle import Settler
from treadle.store.protocol import WorkerRecord
from treadle.worker.attempt import StopReason
from treadle.worker.holding import Holding
from treadle.worker.looks import Looks

logger = logging.getLogger("treadle.worker")


class Lease:
    """One worker's identity and its beats. A lost identity is never taken up again: a new one is begun."""

    def __init__(self, runtime: Runtime, holding: Holding, settler: Settler, version: str) -> None:
        self._runtime = runtime
        self._holding = holding
        self._settler = settler
        self._version = version
        self._valid_until = 0.0
        self._beaten = asyncio.Event()
        self._looks = Looks(runtime.settings.lease_seconds)
        self.worker_id: WorkerId = new_worker_id()

    @property
    def valid_until(self) -> float:
        """Rising seconds before which no reaper can have found this worker silent for a whole lease."""
        return self._valid_until

    async def begin(self) -> None:
        """Register a new identity, waiting for the store as long as it takes."""
        self.worker_id = new_worker_id()
        self._looks = Looks(self._runtime.settings.lease_seconds)
        while True:
            try:
                sent_at = self._runtime.clock.rising()
                await workers.register(self._runtime, self._record())
            except Unavailable:
                await asyncio.sleep(self._runtime.settings.heartbeat_seconds)
            else:
                self._valid_until = sent_at + self._runtime.settings.lease_seconds
                return

    def doubt(self) -> None:
        """A job may point to this worker without its knowing: a claim was not answered. Beats look for it."""
        self._looks.doubt(self._runtime.clock.rising())

    async def beat_once(self) -> bool:
        """One beat and its consequences; whether the store answered."""
        sent_at = self._runtime.clock.rising()
        is_whole = self._looks.is_whole(sent_at)
        asked = None if is_whole else self._holding.in_question
        try:
            rows = await workers.beat(self._runtime, self.worker_id, len(self._holding), asked)
        except Unavailable as error:
            logger.warning("a beat failed: %s; handlers go on, outcomes are kept", error, extra=self._fields)
            return False
        if rows is None:
            await self._begin_anew()
            return True
        self._valid_until = sent_at + self._runtime.settings.lease_seconds
        told = self._holding.compare(rows, sent_at, is_whole=is_whole)
        if is_whole:
            self._looks.looked(sent_at)
        if not told.is_clear:
            self.doubt()
        for attempt in told.lost:
            logger.warning("a job is no longer this worker's: its outcome is dropped", extra=self._job(attempt.id))
            attempt.stop(StopReason.LOST)
        for attempt in told.cancelled:
            attempt.stop(StopReason.CANCEL)
        for job_id, _ in told.unheld:
            logger.warning("releasing a job whose claim was never answered", extra=self._job(job_id))
        with suppress(Unavailable):  # the next beats find them again
            await self._release(told.unheld)
        self._beaten.set()
        self._beaten = asyncio.Event()
        return True

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await asyncio.sleep(self._runtime.settings.heartbeat_seconds)
            try:
                await self.beat_once()
            except Exception:  # a bug; but a worker that beats no more is taken for dead, and never hears of it
                logger.exception("a beat broke", extra=self._fields)

    async def next_beat(self) -> None:
        """Return when a beat has succeeded after this call: the moment to settle what was kept."""
        await self._beaten.wait()

    async def end(self) -> None:
        """Release everything that still points here, then end the lease. Raises ``Unavailable``."""
        rows = await workers.beat(self._runtime, self.worker_id, 0, None)
        await self._release([(row.job_id, row.attempt) for row in rows or ()])
        await workers.end(self._runtime, self.worker_id)

    async def _release(self, unheld: Sequence[tuple[JobId, int]]) -> None:
        # All at once: they share a commit.
        await asyncio.gather(*(self._settler.release(job_id, attempt) for job_id, attempt in unheld))

    async def _begin_anew(self) -> None:
        dropped = self._holding.clear()
        self._runtime.metrics.leases_lost.add(1)
        logger.error(
            "this worker was taken for dead; it goes on under a new identity",
            extra={**self._fields, "count": len(dropped)},
        )
        for attempt in dropped:
            attempt.stop(StopReason.LOST)
        await self.begin()
        self._beaten.set()
        self._beaten = asyncio.Event()

    def _record(self) -> WorkerRecord:
        now = self._runtime.clock.now()
        settings = self._runtime.settings
        return WorkerRecord(
            id=self.worker_id,
            host=platform.node()[:255],
            pid=os.getpid(),
            version=self._version,
            queues=settings.queues,
            concurrency=settings.concurrency,
            running=0,
            beat=0,
            started_at=now,
            beat_at=now,
            ended_at=None,
        )

    @property
    def _fields(self) -> dict[str, object]:
        return {"worker": self.worker_id}

    def _job(self, job_id: str) -> dict[str, object]:
        return {**self._fields, "job": job_id}
