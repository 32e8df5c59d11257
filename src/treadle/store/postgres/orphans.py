"""Orphans: the running jobs of workers that have ended, or that nobody knows.

A look at all that runs walks over an entry of everything that has run since the last vacuum. So it is made at a pace,
and finds what only it can: jobs of a worker that has no row, after a move or by somebody's hand. The others are
found by their workers. Of one that has ended long enough and left nothing, nothing will ever come again.
"""

from __future__ import annotations

from treadle.clock import rising_seconds
from treadle.ids import WorkerId
from treadle.job import Orphan
from treadle.store.postgres.connection import Connections
from treadle.store.postgres.pace import Pace
from treadle.store.postgres.rows import orphan
from treadle.store.postgres.statement import SQL
from treadle.store.protocol import LATE_CLAIM_SECONDS


class Orphans:
    """One process's search. Its only clock is for its own pace (S5 is about ``now``)."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._pace = Pace()
        self._seen_at: dict[WorkerId, float] = {}
        """When each ended worker was first seen as one, in rising seconds."""
        self._empty: set[WorkerId] = set()
        """Those of them that left nothing and can claim nothing any more."""

    async def find(self, limit: int) -> list[Orphan]:
        """See ``Store.orphans``."""
        found = await self._of_ended(limit)
        began = rising_seconds()
        if found or not self._pace.is_due(began):
            return found
        try:
            rows = await self._connections.read(SQL["orphans"], {"limit": limit})
        finally:
            self._pace.looked(began, rising_seconds())
        return [orphan(row) for row in rows]

    async def _of_ended(self, limit: int) -> list[Orphan]:
        asked_at = rising_seconds()
        ended = [WorkerId(str(row["id"])) for row in await self._connections.read(SQL["ended_workers"], {})]
        self._seen_at = {worker_id: self._seen_at.get(worker_id, asked_at) for worker_id in ended}
        self._empty.intersection_update(ended)
        suspects = [worker_id for worker_id in ended if worker_id not in self._empty]
        if not suspects:
            return []
        rows = await self._connections.read(SQL["orphans_of"], {"worker_ids": suspects, "limit": limit})
        found = [orphan(row) for row in rows]
        if not found:
            late = asked_at - LATE_CLAIM_SECONDS
            self._empty.update(worker_id for worker_id in suspects if self._seen_at[worker_id] <= late)
        return found
