"""Claims by scan: what is ready, high before default, queues in turns, each line from where it was left."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from treadle.clock import rising_seconds
from treadle.errors import OutcomeUnknown, Unavailable
from treadle.job import ClaimedJob
from treadle.queue import PRIORITY_BY_LABEL, Priority
from treadle.store.postgres.connection import Connections
from treadle.store.postgres.marks import Line, Marks
from treadle.store.postgres.rows import Row, claimed_job, queued_at
from treadle.store.postgres.statement import SQL
from treadle.store.protocol import ClaimRequest


class Scanning:
    """One process's claims by scan. Its only clock is for how long a scan took (S5 is about ``now``)."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._marks = Marks()
        self._first = dict.fromkeys(Priority, "")
        """By priority: the queue that was first last time. The next one begins behind it."""
        self._is_idle = False
        """Whether the last scan found nothing."""

    async def claim(self, request: ClaimRequest, now: datetime) -> list[ClaimedJob]:
        """See ``Store.claim``, of a request without ids."""
        marks = self._marks.begin(request.types, rising_seconds())
        if not marks and self._is_idle and not await self._is_anything_queued():
            return []
        rows = await self._scan(request, request.limit, marks, now)
        if marks and len(rows) < request.limit and self._marks.may_look_behind(rising_seconds()):
            try:
                rows += await self._scan(request, request.limit - len(rows), {}, now)
            except Unavailable as error:
                if not rows or isinstance(error, OutcomeUnknown):
                    raise  # had it claimed more, nobody would look for that soon: beats release what both claimed
                # What the first scan claimed is claimed, and the second surely claimed nothing.
        self._is_idle = not rows
        rows.sort(key=self._place)
        for row in reversed(rows):
            self._first[PRIORITY_BY_LABEL[row["priority"]]] = row["queue"]
        return [claimed_job(row, now) for row in rows]

    async def _is_anything_queued(self) -> bool:
        """A look from the heads, as the scan that it may spare would be; it costs the server a third of one."""
        began = rising_seconds()
        found = await self._connections.read(SQL["any_queued"], {})
        if not found:
            self._marks.looked_at_everything(began, rising_seconds())
        return bool(found)

    async def _scan(
        self, request: ClaimRequest, limit: int, marks: Mapping[Line, datetime], now: datetime
    ) -> list[Row]:
        values = {
            "worker_id": request.worker_id,
            "types": request.types,
            "queues": request.queues,
            "limit": limit,
            "now": now,
            "after_high": self._first[Priority.HIGH],
            "after_default": self._first[Priority.DEFAULT],
            "mark_queues": [queue for queue, _ in marks],
            "mark_priorities": [priority.label for _, priority in marks],
            "marks": list(marks.values()),
        }
        began = rising_seconds()
        rows = await self._connections.write(SQL["claim_scan"], values)
        if not marks:
            self._marks.looked_at_everything(began, rising_seconds())
        for row in rows:
            self._marks.saw((row["queue"], PRIORITY_BY_LABEL[row["priority"]]), queued_at(row))
        return rows

    def _place(self, row: Row) -> tuple[object, ...]:
        """As the statement ordered the lines, and inside a line in ready order."""
        priority = PRIORITY_BY_LABEL[row["priority"]]
        return priority, row["queue"] <= self._first[priority], row["queue"], queued_at(row), row["id"]
