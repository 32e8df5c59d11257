"""Prune: what is past its retention goes, a bounded portion at a time."""

from __future__ import annotations

from collections.abc import Sequence
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
"""Jobs that one look for completed ones reads: of those past their retention most are just that."""
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
                if expiry.status in FINAL and (gone := await self._prune_jobs(expiry, left)):
                    removed[expiry.status] = removed.get(expiry.status, 0) + gone
            await self._connections.write(SQL["prune_keys"], {"now": now, "limit": limit})
            await self._connections.write(SQL["prune_workers"], {"before": now - ENDED_LEASES_KEPT})
            await self._connections.write(SQL["prune_types"], {"before": now - TYPES_KEPT})
        except Unavailable as error:
            if removed and not isinstance(error, OutcomeUnknown):
                raise OutcomeUnknown("a part of what has expired is gone") from error
            raise
        return removed

    async def _prune_jobs(self, expiry: Expiry, limit: int) -> int:
        if limit <= 0:
            return 0
        values = {
            "status": expiry.status.value,
            "before": expiry.before,
            "cutoff": smallest_id_at(expiry.before),
            "limit": limit,
            "after": self._completed_after,
            "window": WINDOW_ROWS,
        }
        if expiry.status is not Status.COMPLETED:
            return len(await self._connections.write(SQL["prune_final"], values))
        [row] = await self._connections.write(SQL["prune_completed"], values)
        removed: int = row["removed"]
        if removed == limit:
            self._completed_after = JobId(str(row["last_deleted"]))
        elif row["looked"] == WINDOW_ROWS:
            self._completed_after = JobId(str(row["last_looked"]))
        else:  # the end was reached; what finished late stands behind
            self._completed_after = _BELOW_ALL
        return removed
