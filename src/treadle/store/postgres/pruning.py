"""Prune: what is past its retention goes, a bounded portion at a time.

A submission that commits behind a deletion flushes its log too, and shares the processor with it. So portions are
small, and each is followed by a rest that is longer the longer it took: a server under load is left alone the more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta

from treadle.clock import rising_seconds
from treadle.errors import OutcomeUnknown, Unavailable
from treadle.ids import JobId
from treadle.states import FINAL, Status
from treadle.store.postgres.connection import Connections
from treadle.store.postgres.statement import SQL
from treadle.store.postgres.writing import smallest_id_at
from treadle.store.protocol import TYPES_KEPT, Expiry

ENDED_LEASES_KEPT = timedelta(days=1)
WINDOW_ROWS = 20_000
"""Jobs that a look for completed ones reads at most, where few of the old ones are that."""
NEAR = 2
"""Times the wanted ones: what the look before it reads. While a backlog of expired jobs goes, nearly all that are read
go, and reading all of a window for each portion cost six times as many pages, and submissions their p99."""
PORTION_ROWS = 100
"""Completed jobs that go at once, while a backlog of expired ones does."""
RESTS = 4
"""Times a portion's own time that is rested after it."""
_BELOW_ALL = JobId("00000000-0000-0000-0000-000000000000")


class Pruning:
    """One process's pruning; remembers how far the walk along the ids has come."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._completed_after = _BELOW_ALL

    async def prune(self, expiries: Sequence[Expiry], limit: int, now: datetime) -> dict[Status, int]:
        """See ``Store.prune``. Each portion is a transaction of its own: what it removed was past its time."""
        removed: dict[Status, int] = {}
        try:
            for expiry in expiries:
                left = limit - sum(removed.values())
                if expiry.status in FINAL:
                    async for gone in self._portions(expiry, left):
                        removed[expiry.status] = removed.get(expiry.status, 0) + gone
            await self._connections.write(SQL["prune_keys"], {"now": now, "limit": limit})
            await self._connections.write(SQL["prune_workers"], {"before": now - ENDED_LEASES_KEPT})
            await self._connections.write(SQL["prune_types"], {"before": now - TYPES_KEPT})
        except Unavailable as error:
            if removed and not isinstance(error, OutcomeUnknown):
                raise OutcomeUnknown("a part of what has expired is gone") from error
            raise
        return removed

    async def _portions(self, expiry: Expiry, limit: int) -> AsyncIterator[int]:
        """Each what a transaction removed; none where that is nothing."""
        if limit <= 0:
            return
        values = {
            "status": expiry.status.value,
            "before": expiry.before,
            "cutoff": smallest_id_at(expiry.before),
            "limit": limit,
        }
        if expiry.status is not Status.COMPLETED:
            if rows := await self._connections.write(SQL["prune_final"], values):
                yield len(rows)
            return
        async for gone in self._completed(values, limit):
            yield gone

    async def _completed(self, values: Mapping[str, object], limit: int) -> AsyncIterator[int]:
        while True:
            portion = min(PORTION_ROWS, limit)
            window = min(NEAR * portion, WINDOW_ROWS)
            began = rising_seconds()
            removed, is_end = await self._prune_completed(values, portion, window)
            took = rising_seconds() - began
            if removed:
                yield removed
            limit -= removed
            if not limit or is_end:
                return
            if removed < portion:
                break
            await self._rest(RESTS * took)
        if window < WINDOW_ROWS:  # few of the old ones are completed: one long look for all that is still wanted
            removed, _ = await self._prune_completed(values, limit, WINDOW_ROWS)
            if removed:
                yield removed

    async def _rest(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _prune_completed(self, values: Mapping[str, object], limit: int, window: int) -> tuple[int, bool]:
        """One look; how many went, and whether it came to the end of what may have expired."""
        own = {**values, "limit": limit, "after": self._completed_after, "window": window}
        [row] = await self._connections.write(SQL["prune_completed"], own)
        removed: int = row["removed"]
        is_end = False
        if removed == limit:
            self._completed_after = JobId(str(row["last_deleted"]))
        elif row["looked"] == window:
            self._completed_after = JobId(str(row["last_looked"]))
        else:  # the end was reached; what finished late stands behind
            self._completed_after = _BELOW_ALL
            is_end = True
        return removed, is_end
