"""Prune: what is past its retention goes, a bounded portion at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta

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
        for window in (min(NEAR * limit, WINDOW_ROWS), WINDOW_ROWS):
            removed, is_end = await self._prune_completed(values, limit, window)
            if removed:
                yield removed
            limit -= removed
            if not limit or is_end or window == WINDOW_ROWS:
                return

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
