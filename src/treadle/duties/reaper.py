"""Reaper: watches beats, ends leases that stood still for a whole lease of its own time, takes back their jobs."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from treadle.errors import Unavailable
from treadle.ids import WorkerId
from treadle.service.reap import BATCH, end_lease, take_back
from treadle.service.runtime import Runtime
from treadle.service.workers import read_beats
from treadle.states import Status
from treadle.store.protocol import LATE_CLAIM_SECONDS

logger = logging.getLogger("treadle.duties")

ORPHANS_SECONDS = 60.0
"""Where no lease ended there are no orphans. They are looked for all the same, so often: nobody saw a worker that began
and ended between two looks."""


class Watch:
    """A lease expires by observation, not by clocks.

    What counts is a counter seen unchanged for a whole lease of the observer's own rising seconds, with no failed
    look and no gap in the observer's own loop in between: an observer that slept, or could not read, knows nothing.
    """

    def __init__(self, lease_seconds: float, gap_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._gap_seconds = gap_seconds
        self._seen: dict[WorkerId, tuple[int, float]] = {}
        self._answered_at: float | None = None

    def forget(self) -> None:
        """Start over: the store did not answer, and so nobody can have beaten."""
        self._seen.clear()

    def look(
        self, beats: Iterable[tuple[WorkerId, int]], asked_at: float, answered_at: float
    ) -> list[tuple[WorkerId, int]]:
        """Leases that are expired by now, each with the counter that was watched.

        ``beats`` were read some time between ``asked_at`` and ``answered_at``. A counter is known to have stood
        still from one answer to a later question, and no longer: a slow read is not a silent worker.
        """
        if self._answered_at is not None and answered_at - self._answered_at > self._gap_seconds:
            self.forget()
        self._answered_at = answered_at
        seen: dict[WorkerId, tuple[int, float]] = {}
        expired: list[tuple[WorkerId, int]] = []
        for worker_id, beat in beats:
            before = self._seen.get(worker_id)
            since = before[1] if before is not None and before[0] == beat else answered_at
            seen[worker_id] = (beat, since)
            if asked_at - since >= self._lease_seconds:
                expired.append((worker_id, beat))
        self._seen = seen
        return expired


class Reaper:
    """The duty around ``Watch``."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        settings = runtime.settings
        self.living = 0
        """Workers whose leases had not ended at the last look."""
        # A gap: twice the sweep and a little, or the observer itself was stopped.
        self._watch = Watch(settings.lease_seconds, 2 * settings.sweep_seconds + 1.0)
        self._leases: frozenset[WorkerId] | None = None
        """Those of the last look; ``None`` after one that failed."""
        self._orphans_until = self._orphans_due_at = float("-inf")
        """Rising seconds up to which every look is for orphans too, and at which the next one is in any case."""

    async def reap_once(self) -> float:
        """Look, end what is expired, take back what is orphaned; seconds until the next look."""
        try:
            return await self._sweep()
        except Unavailable:
            self._watch.forget()
            self._leases = None
            raise

    async def _sweep(self) -> float:
        asked_at = self._runtime.clock.rising()
        beats = await read_beats(self._runtime)
        self.living = len(beats)
        leases = frozenset(worker_id for worker_id, _ in beats)
        if self._leases is None or self._leases - leases:
            self._orphans_until = asked_at + LATE_CLAIM_SECONDS
        self._leases = leases
        for worker_id, beat in self._watch.look(beats, asked_at, self._runtime.clock.rising()):
            self._orphans_until = asked_at + LATE_CLAIM_SECONDS
            if await end_lease(self._runtime, worker_id, beat):
                logger.warning("a worker stopped beating: its lease is ended", extra={"worker": worker_id})
        if asked_at >= self._orphans_until and asked_at < self._orphans_due_at:
            return self._runtime.settings.sweep_seconds
        return await self._take_back(asked_at)

    async def _take_back(self, now: float) -> float:
        settled = await take_back(self._runtime)
        for done in settled:
            if done.status is not None:
                level = logging.ERROR if done.status is Status.DEAD else logging.WARNING
                logger.log(level, "took back a job of a dead worker", extra={"job": done.job_id, "status": done.status})
        if len(settled) == BATCH:
            self._orphans_due_at = now
            return 0.0
        self._orphans_due_at = now + ORPHANS_SECONDS
        return self._runtime.settings.sweep_seconds
