"""The pulse: one look at the whole house, taken once and shown to everybody who watches this process."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime

from treadle.errors import Unavailable
from treadle.service import browse, queues, workers
from treadle.service.runtime import Runtime
from treadle.states import Status
from treadle.store.protocol import JobFilter, QueueRecord, WorkerRecord

logger = logging.getLogger("treadle.admin")

BEAT_SECONDS = 1.0
"""Between looks while somebody watches; a page that is asked for gets one no older than this."""
POINT_SECONDS = 5.0
"""Between points of the chart, and between looks while nobody watches."""
CHART_SECONDS = 15 * 60
NEWEST = 20
"""Jobs whose changes are noticed even where no count changes."""


@dataclass(frozen=True, slots=True)
class Point:
    """One moment of the chart. ``at``: seconds since the epoch, the store's clock."""

    at: float
    waiting: int
    running: int
    failed: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything the tiles are made of. ``version`` differs from the last where anything but time passed."""

    at: datetime
    version: int
    counts: dict[Status, int]
    queues: tuple[QueueRecord, ...]
    workers: tuple[WorkerRecord, ...]

    @property
    def point(self) -> Point:
        """What the chart keeps of it."""
        return Point(
            at=self.at.timestamp(),
            waiting=self.counts.get(Status.QUEUED, 0),
            running=self.counts.get(Status.PROCESSING, 0),
            failed=self.counts.get(Status.FAILED, 0) + self.counts.get(Status.DEAD, 0),
        )


class Pulse:
    """Looks again and again; every read of it is bounded, however many jobs there are."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._points: deque[Point] = deque(maxlen=int(CHART_SECONDS / POINT_SECONDS))
        self._latest: Snapshot | None = None
        self._taken_at = 0.0
        self._is_expired = False
        self._state: Hashable = None
        self._taking = asyncio.Lock()
        self._beat = asyncio.Event()
        self._watchers = 0
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.is_stopping = False

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run(), name="admin pulse")

    async def stop(self) -> None:
        """End it, and let everybody go who waits for a beat."""
        self.is_stopping = True
        self._beat.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    @property
    def points(self) -> tuple[Point, ...]:
        """The last quarter of an hour, oldest first."""
        return tuple(self._points)

    async def snapshot(self) -> Snapshot:
        """How it stands, at most ``BEAT_SECONDS`` old. Raises ``Unavailable``."""
        return await self._look(BEAT_SECONDS)

    def expire(self) -> None:
        """Somebody changed something: the next reader looks anew."""
        self._is_expired = True

    def watch(self) -> None:
        """One more who wants a beat a second."""
        self._watchers += 1
        self._wanted.set()

    def leave(self) -> None:
        """One less."""
        self._watchers -= 1

    async def next_beat(self) -> Snapshot | None:
        """The next look that is taken; ``None`` where the store did not answer, or the pulse has stopped."""
        beat = self._beat
        await beat.wait()
        is_fresh = self._latest is not None and self._rising() - self._taken_at < 2 * BEAT_SECONDS
        return self._latest if is_fresh and not self.is_stopping else None

    async def _run(self) -> None:
        next_point = self._rising()
        while True:
            try:
                snapshot = await self._look(BEAT_SECONDS / 2)
            except Unavailable:
                pass  # those who watch are told by the missing beat
            except Exception:  # a bug; ended here, every open page would go stale in silence
                logger.exception("looking at the house failed")
            else:
                if self._rising() >= next_point:
                    self._points.append(snapshot.point)
                    next_point = self._rising() + POINT_SECONDS - BEAT_SECONDS / 2
            beat, self._beat = self._beat, asyncio.Event()
            beat.set()
            await self._pause()

    async def _pause(self) -> None:
        if self._watchers:
            await asyncio.sleep(BEAT_SECONDS)
            return
        self._wanted.clear()
        try:
            await asyncio.wait_for(self._wanted.wait(), POINT_SECONDS)
        except TimeoutError:
            return

    async def _look(self, max_age_seconds: float) -> Snapshot:
        async with self._taking:  # who comes while somebody looks is given what that one sees
            is_young = self._rising() - self._taken_at < max_age_seconds
            if self._latest is not None and is_young and not self._is_expired:
                return self._latest
            # Before the first read: what changes while this look is taken may be in it only by half.
            self._is_expired = False
            return await self._take()

    async def _take(self) -> Snapshot:
        counts = await browse.counts(self._runtime)
        listed = tuple(await queues.list_queues(self._runtime))
        living = tuple(await workers.list_workers(self._runtime))
        newest = await browse.page(self._runtime, JobFilter(), None, NEWEST)
        state = (
            tuple(sorted(counts.items())),
            tuple((q.name, q.paused_at, q.high, q.default, q.processing) for q in listed),
            tuple((w.id, w.running) for w in living),
            tuple((job.id, job.status, job.attempt, job.updated_at) for job in newest.jobs),
        )
        version = 0 if self._latest is None else self._latest.version + (state != self._state)
        self._state = state
        self._latest = Snapshot(self._runtime.clock.now(), version, counts, listed, living)
        self._taken_at = self._rising()
        return self._latest

    def _rising(self) -> float:
        return self._runtime.clock.rising()
