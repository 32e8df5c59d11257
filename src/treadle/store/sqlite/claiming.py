"""The claims, each a function of one transaction's connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from treadle.ids import JobId
from treadle.job import ClaimedJob
from treadle.states import Status, Verb, target_of
from treadle.store.protocol import ClaimRequest
from treadle.store.sqlite.reading import ready_rows
from treadle.store.sqlite.rows import claimed_job, to_micros
from treadle.store.sqlite.writing import SQL, json_list, payload_of

Rows = Sequence[tuple[Any, ...]]


def claim(
    connection: sqlite3.Connection, request: ClaimRequest, ids: Sequence[JobId], now: datetime
) -> list[ClaimedJob]:
    """Claim those of the first ``limit`` ids that may be, in the ids' order; repeated ids count once."""
    ids = list(dict.fromkeys(ids))[: request.limit]
    if not _holds_lease(connection, request):
        return []
    wanted = {
        "ids": json_list(ids),
        "types": json_list(request.types),
        "queues": None if request.queues is None else json_list(request.queues),
        "source": Status.QUEUED.value,
    }
    cursor = connection.cursor()
    cursor.row_factory = None
    found = {row[1]: row for row in cursor.execute(SQL["claimable"], wanted)}
    return _move(connection, request, [found[job_id] for job_id in ids if job_id in found], now)


def claim_next(connection: sqlite3.Connection, request: ClaimRequest, turn: int, now: datetime) -> list[ClaimedJob]:
    """Claim what is next in ready order; see ``reading.ready_ids``."""
    if not _holds_lease(connection, request):
        return []
    return _move(connection, request, ready_rows(connection, request, turn, SQL["claimable_line"]), now)


def _holds_lease(connection: sqlite3.Connection, request: ClaimRequest) -> bool:
    return connection.execute(SQL["holds_lease"], {"worker_id": request.worker_id}).fetchone() is not None


def _move(connection: sqlite3.Connection, request: ClaimRequest, rows: Rows, now: datetime) -> list[ClaimedJob]:
    """Make ``rows``, just read, the worker's.

    Nothing came in between: the transaction has held the write lock since it began. So a row is neither sought
    twice by its id nor handed out by RETURNING, which is one step of the statement each.
    """
    if rows:
        move = {
            "rows": json_list([row[0] for row in rows]),
            "worker_id": request.worker_id,
            "now": to_micros(now),
            "target": target_of(Verb.CLAIM).value,
        }
        connection.execute(SQL["claim"], move)
    return [claimed_job(row, payload_of(connection, row[1], row[5]), now) for row in rows]
