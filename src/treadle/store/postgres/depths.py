"""Depths: how many jobs stand in each status and in each line.

What left a line or ran has dead entries in the indexes that are counted by, until a vacuum, and no vacuum takes them
while anybody in the database has an older transaction open. So everything is counted from the heads only while that is
cheap. Where it was dear, that is done at a pace; in between lines are counted from marks, as scans claim from them,
what runs is what its workers said at their last beat, and the rest is as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from treadle.clock import rising_seconds
from treadle.errors import Unavailable
from treadle.queue import Priority
from treadle.states import Status
from treadle.store.postgres.connection import Connections, Rows
from treadle.store.postgres.marks import CHEAP_SECONDS, SLACK, Line
from treadle.store.postgres.pace import Pace
from treadle.store.postgres.rows import Row
from treadle.store.postgres.statement import SQL
from treadle.store.protocol import COUNT_CAP, QueueRecord

COUNT_WINDOW_ROWS = 1_000_000
"""How many of the oldest jobs are looked at to count completed ones, which are in no index."""


class Depths:
    """One process's counting. Its only clock is for how long a look took (S5 is about ``now``)."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._counting, self._listing = Pace(CHEAP_SECONDS), Pace(CHEAP_SECONDS)
        self._marks: dict[Line, datetime] = {}
        """Before these nothing is queued: the oldest of a line, or the time when it was empty, less ``SLACK``."""
        self._told: datetime | None = None
        self._completed = 0
        self._running: dict[str, int] = {}

    def told(self, now: datetime) -> None:
        """What time it is. A line that is found empty later holds nothing from before, but for ``SLACK``."""
        self._told = now

    async def counts(self) -> dict[Status, int]:
        """See ``Store.counts``."""
        values: dict[str, object] = {"cap": COUNT_CAP, "window": COUNT_WINDOW_ROWS}
        rows = await self._whole(self._counting, "counts", values)
        if rows is not None:
            counts = _by_status(rows)
            self._completed = counts[Status.COMPLETED]
            return counts
        counts = _by_status(await self._connections.read(SQL["counts_few"], {"cap": COUNT_CAP}))
        queued = sum(row["high"] + row["standard"] for row in await self._lines())
        return counts | {Status.QUEUED: min(COUNT_CAP, queued), Status.COMPLETED: self._completed}

    async def queues(self) -> list[QueueRecord]:
        """See ``Store.queues``."""
        told = self._told
        rows = await self._whole(self._listing, "queues", {"cap": COUNT_CAP})
        if rows is not None:
            self._mark(rows, told)
            self._running = {row["name"]: row["processing"] for row in rows}
        else:
            rows = await self._lines()
        return [_queue(row, self._running.get(row["name"], 0)) for row in rows]

    async def _whole(self, pace: Pace, name: str, values: dict[str, object]) -> Rows | None:
        """Everything from the heads; ``None`` where that is not due, or did not come to an end and there are marks."""
        began = rising_seconds()
        if not pace.is_due(began):
            return None
        try:
            return await self._connections.read(SQL[name], values)
        except Unavailable:
            if not self._marks:
                raise
            return None
        finally:
            pace.looked(began, rising_seconds())

    async def _lines(self) -> Rows:
        told, marks = self._told, dict(self._marks)
        values = {
            "cap": COUNT_CAP,
            "mark_queues": [queue for queue, _ in marks],
            "mark_priorities": [priority.label for _, priority in marks],
            "marks": list(marks.values()),
        }
        rows = await self._connections.read(SQL["lines"], values)
        self._mark(rows, told)
        return rows

    def _mark(self, rows: Sequence[Row], told: datetime | None) -> None:
        """``told``: the newest time that was known before the rows were read; without it nothing can be said."""
        if told is None:
            return
        for row in rows:
            for priority, oldest in zip(Priority, (row["oldest_high_at"], row["oldest_default_at"]), strict=True):
                self._marks[(row["name"], priority)] = (told if oldest is None else min(oldest, told)) - SLACK


def _by_status(rows: Sequence[Row]) -> dict[Status, int]:
    return {Status(row["status"]): row["count"] for row in rows}


def _queue(row: Row, processing: int) -> QueueRecord:
    return QueueRecord(
        name=row["name"],
        paused_at=row["paused_at"],
        high=row["high"],
        default=row["standard"],
        processing=processing,
        oldest_high_at=row["oldest_high_at"],
        oldest_default_at=row["oldest_default_at"],
    )
