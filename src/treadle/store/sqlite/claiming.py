"""The claim, a function of one transaction's connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from treadle.ids import JobId
from treadle.job import ClaimedJob
from treadle.states import Status, Verb, target_of
from treadle.store.protocol import ClaimRequest
from treadle.store.sqlite.rows import claimed_job, to_micros
from treadle.store.sqlite.writing import SQL, json_list, payload_of


def claim(
    connection: sqlite3.Connection, request: ClaimRequest, ids: Sequence[JobId], now: datetime
) -> list[ClaimedJob]:
    """Claim those of the first ``limit`` ids that may be, in the ids' order; repeated ids count once.

    Read, then moved by the rows' numbers: the transaction has held the write lock since it began, so nothing comes
    in between, and a row is neither sought twice by its id nor handed out by RETURNING, one step of the statement each.
    """
    ids = list(dict.fromkeys(ids))[: request.limit]
    if connection.execute(SQL["holds_lease"], {"worker_id": request.worker_id}).fetchone() is None:
        return []
    wanted = {
        "ids": json_list(ids),
        "types": json_list(request.types),
        "queues": None if request.queues is None else json_list(request.queues),
        "source": Status.QUEUED.value,
    }
    cursor = connection.cursor()
    cursor.row_factory = None
    rows = cursor.execute(SQL["claimable"], wanted).fetchall()
    if not rows:
        return []
    move = {
        "rows": json_list([row[0] for row in rows]),
        "worker_id": request.worker_id,
        "now": to_micros(now),
        "target": target_of(Verb.CLAIM).value,
    }
    connection.execute(SQL["claim"], move)
    claimed = {row[1]: claimed_job(row, payload_of(connection, row[1], row[5]), now) for row in rows}
    return [claimed[job_id] for job_id in ids if job_id in claimed]
