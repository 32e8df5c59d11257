"""The insert, a function of one transaction's connection."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from datetime import datetime

import msgspec

from treadle.ids import JobId
from treadle.job import NewJob
from treadle.store.protocol import Inserted, InsertResult, KeyClash, Replayed, Submission
from treadle.store.sqlite.rows import has_large_payload, insert_row, to_micros
from treadle.store.sqlite.writing import SQL, json_list

ROWS_PER_STEP = 32
"""Half the time of a row a step; more at once gains nothing more, and what is left over goes by single rows."""


def _insert_of(rows: int) -> str:
    """The query ``insert`` of so many rows, its parameters by position."""
    [row] = re.findall(r"^VALUES (.*?)\nON CONFLICT", SQL["insert"], re.MULTILINE | re.DOTALL)
    return SQL["insert"].replace(row, ", ".join([re.sub(r":\w+", "?", row)] * rows))


_INSERT_ONE = _insert_of(1)
_INSERT_MANY = _insert_of(ROWS_PER_STEP)


def insert(connection: sqlite3.Connection, units: Sequence[Submission], now: datetime) -> list[InsertResult]:
    """See ``Store.insert``."""
    now_micros = to_micros(now)
    results: list[InsertResult] = []
    jobs: list[NewJob] = []
    for unit in units:
        answered = _answer_by_key(connection, unit, now_micros)
        if answered is None:
            jobs += unit.jobs
            answered = Inserted(tuple(job.id for job in unit.jobs))
        results.append(answered)
    _insert_jobs(connection, jobs, now_micros)
    return results


def _insert_jobs(connection: sqlite3.Connection, jobs: Sequence[NewJob], now_micros: int) -> None:
    in_steps = len(jobs) - len(jobs) % ROWS_PER_STEP
    for begin in range(0, in_steps, ROWS_PER_STEP):
        values: list[object] = []
        for job in jobs[begin : begin + ROWS_PER_STEP]:
            values += insert_row(job, now_micros)
        connection.execute(_INSERT_MANY, values)
    connection.executemany(_INSERT_ONE, [insert_row(job, now_micros) for job in jobs[in_steps:]])
    large = [{"id": job.id, "payload": job.payload} for job in jobs if has_large_payload(job)]
    if large:
        connection.executemany(SQL["insert_large"], large)


def _answer_by_key(connection: sqlite3.Connection, unit: Submission, now_micros: int) -> InsertResult | None:
    """What the unit's key says already; else the key is taken for this unit."""
    if unit.key is None:
        return None
    name = {"scope": unit.key.scope, "key": unit.key.key}
    found = connection.execute(SQL["find_key"], {**name, "now": now_micros}).fetchone()
    if found is not None:
        if bytes(found["fingerprint"]) != unit.key.fingerprint:
            return KeyClash()
        ids = tuple(JobId(i) for i in msgspec.json.decode(found["job_ids"]))
        # The very same ids: this unit itself was sent again after its answer was lost.
        return Inserted(ids) if ids == tuple(job.id for job in unit.jobs) else Replayed(ids)
    connection.execute(
        SQL["put_key"],
        {
            **name,
            "fingerprint": unit.key.fingerprint,
            "job_ids": json_list([job.id for job in unit.jobs]),
            "expires_at": to_micros(unit.key.expires_at),
        },
    )
    return None
