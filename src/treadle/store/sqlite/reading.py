"""The reads, each a function of one snapshot's connection."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from treadle.ids import JobId
from treadle.job import StoredJob
from treadle.queue import Priority
from treadle.states import Status
from treadle.store.protocol import COUNT_CAP, ClaimRequest, JobFilter, Page, QueueRecord
from treadle.store.sqlite.rows import moment_or_none, stored_job
from treadle.store.sqlite.writing import SQL, json_list, payload_of

WINDOW_ROWS = 20_000
"""A filter no index helps with looks at this many jobs a page, then hands out a cursor."""

_ABOVE_ALL = "g"  # above every hexadecimal id


def ready_ids(connection: sqlite3.Connection, request: ClaimRequest, turn: int) -> list[JobId]:
    """The next ids in ready order: all ``high`` lines before all ``default`` ones, queues in turn."""
    return [JobId(row[0]) for row in ready_rows(connection, request, turn, SQL["scan_line"])]


def ready_rows(
    connection: sqlite3.Connection, request: ClaimRequest, turn: int, line_query: str
) -> list[tuple[Any, ...]]:
    """The next jobs in that order, as ``line_query`` shows them: ``scan_line`` or ``claimable_line``."""
    cursor = connection.cursor()
    cursor.row_factory = None
    ready = [queue for [queue] in cursor.execute(SQL["ready_queues"])]
    if request.queues is not None:
        ready = [queue for queue in request.queues if queue in set(ready)]
    if not ready:
        return []
    start = turn % len(ready)
    types = json_list(request.types)
    rows: list[tuple[Any, ...]] = []
    for priority in Priority:
        for queue in ready[start:] + ready[:start]:
            limit = request.limit - len(rows)
            wanted = {"types": types, "queue": queue, "priority": int(priority), "limit": limit}
            rows += cursor.execute(line_query, wanted).fetchall()
            if len(rows) == request.limit:
                return rows
    return rows


def get(connection: sqlite3.Connection, ids: Sequence[JobId], payload: bool) -> dict[JobId, StoredJob]:
    """See ``Store.get``."""
    rows = connection.execute(SQL["get"], {"ids": json_list(ids), "payload": payload})
    jobs = (
        stored_job(row, payload_of(connection, row["id"], row["payload"]) if payload else None)
        for row in rows.fetchall()
    )
    return {job.id: job for job in jobs}


def statuses(connection: sqlite3.Connection, ids: Sequence[JobId]) -> dict[JobId, Status]:
    """See ``Store.statuses``."""
    rows = connection.execute(SQL["statuses"], {"ids": json_list(ids)})
    return {JobId(row["id"]): Status(row["status"]) for row in rows}


def page(connection: sqlite3.Connection, wanted: JobFilter, below: JobId | None, limit: int) -> Page:
    """See ``Store.page``."""
    found: list[JobId] = []
    last: JobId | None = None
    more = False
    for seen, row in enumerate(_newest_first(connection, wanted.statuses, below or _ABOVE_ALL)):
        if len(found) == limit or seen == WINDOW_ROWS:
            more = True
            break
        last = JobId(row["id"])
        if _matches(row, wanted):
            found.append(last)
    jobs = get(connection, found, False)
    return Page(tuple(jobs[job_id] for job_id in found), last if more else None)


def _newest_first(
    connection: sqlite3.Connection, wanted: tuple[Status, ...] | None, below: str
) -> Iterator[sqlite3.Row]:
    if wanted is None:
        return connection.execute(SQL["page_all"], {"below": below})
    lines = [
        connection.execute(SQL["page_by_status"], {"status": status.value, "below": below})
        for status in dict.fromkeys(wanted)
    ]
    return heapq.merge(*lines, key=lambda row: str(row["id"]), reverse=True)


def _matches(row: sqlite3.Row, wanted: JobFilter) -> bool:
    return (
        (wanted.type is None or row["type"] == wanted.type)
        and (wanted.queue is None or row["queue"] == wanted.queue)
        and (wanted.priority is None or row["priority"] == wanted.priority)
    )


def counts(connection: sqlite3.Connection) -> dict[Status, int]:
    """See ``Store.counts``."""
    return {
        status: connection.execute(SQL["count"], {"status": status.value, "cap": COUNT_CAP}).fetchone()[0]
        for status in Status
    }


def queues(connection: sqlite3.Connection) -> list[QueueRecord]:
    """See ``Store.queues``."""
    running = {row[0]: row[1] for row in connection.execute(SQL["running"])}
    return [
        _queue(connection, row, running.get(row["name"], 0)) for row in connection.execute(SQL["queues"]).fetchall()
    ]


def _queue(connection: sqlite3.Connection, row: sqlite3.Row, processing: int) -> QueueRecord:
    depth = {
        priority: connection.execute(
            SQL["depth"], {"queue": row["name"], "priority": int(priority), "cap": COUNT_CAP}
        ).fetchone()
        for priority in Priority
    }
    return QueueRecord(
        name=row["name"],
        paused_at=moment_or_none(row["paused_at"]),
        high=depth[Priority.HIGH][0],
        default=depth[Priority.DEFAULT][0],
        processing=processing,
        oldest_high_at=moment_or_none(depth[Priority.HIGH][1]),
        oldest_default_at=moment_or_none(depth[Priority.DEFAULT][1]),
    )
