"""The batches that change jobs, each a function of one transaction's connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from treadle.ids import JobId
from treadle.queue import Priority
from treadle.states import FINAL, Actor, Status, Verb, sources_of, target_of
from treadle.store.protocol import (
    ERASED_TEXT,
    TYPE_REFRESH,
    TYPES_KEPT,
    Expiry,
    Hint,
    Note,
    Operated,
    Promoted,
    PublishedType,
)
from treadle.store.queries import read_queries
from treadle.store.sqlite.rows import (
    ELSEWHERE,
    moment_or_none,
    published_parameters,
    text_or_none,
    to_micros,
)

SQL = read_queries("treadle.store.sqlite.sql", "jobs.sql", "workers.sql", "queues.sql", "types.sql")

ENDED_LEASES_KEPT = timedelta(days=1)
_SOURCE = Status.PROCESSING.value
_KEEPS_ERROR = frozenset({Verb.RELEASE, Verb.SNOOZE, Verb.ABORT})
"""Ends that say nothing of their own: the last failure stays readable."""


def json_list(values: Sequence[object]) -> str:
    """A list as the JSON text that ``json_each`` takes."""
    return msgspec.json.encode(values).decode()


def payload_of(connection: sqlite3.Connection, job_id: JobId, inline: bytes) -> bytes:
    """The payload of a job in whose row ``inline`` stands, wherever it is kept."""
    if inline == ELSEWHERE:
        found = connection.execute(SQL["large_payload"], {"id": job_id}).fetchone()
        return inline if found is None else bytes(found[0])
    return inline


def note(connection: sqlite3.Connection, notes: Sequence[Note], now: datetime) -> list[bool]:
    """See ``Store.note``."""
    return [
        connection.execute(
            SQL["note"],
            {
                "id": told.job_id,
                "attempt": told.attempt,
                "source": _SOURCE,
                "progress": text_or_none(told.progress),
                "checkpoint": text_or_none(told.checkpoint),
                "now": to_micros(now),
            },
        ).rowcount
        == 1
        for told in notes
    ]


def promote_due(connection: sqlite3.Connection, limit: int, now: datetime) -> Promoted:
    """See ``Store.promote_due``."""
    now_micros = to_micros(now)
    parameters = {
        "now": now_micros,
        "target": target_of(Verb.PROMOTE).value,
        "sources": json_list(sorted(sources_of(Verb.PROMOTE, Actor.PROMOTER))),
    }
    hints: list[Hint] = []
    for due in connection.execute(SQL["due"], {"now": now_micros, "limit": limit}).fetchall():
        row = connection.execute(SQL["promote"], {**parameters, "id": due["id"]}).fetchone()
        if row is not None:
            hints.append(Hint(JobId(due["id"]), row["queue"], Priority(row["priority"])))
    [next_run_at] = connection.execute(SQL["next_due"]).fetchone()
    return Promoted(tuple(hints), moment_or_none(next_run_at))


def operate(connection: sqlite3.Connection, verb: Verb, ids: Sequence[JobId], now: datetime) -> list[Operated]:
    """See ``Store.operate``."""
    sources = sources_of(verb, Actor.OPERATOR)
    if not sources:
        raise ValueError(f"{verb} is no operator's verb")
    target = target_of(verb)
    parameters = {"now": to_micros(now), "target": target.value, "sources": json_list(sorted(sources))}
    results: list[Operated] = []
    for job_id in ids:
        standing = connection.execute(SQL["standing"], {"id": job_id}).fetchone()
        if standing is None:
            results.append(Operated(job_id, None, None))
            continue
        before = Status(standing["status"])
        after: Status | None = None
        if connection.execute(SQL[verb.value], {**parameters, "id": job_id}).rowcount == 1:
            after = target
        elif verb is Verb.CANCEL and _request_cancel(connection, job_id, now):
            after = Status.PROCESSING
        results.append(_operated(job_id, before, after, standing))
    return results


def _request_cancel(connection: sqlite3.Connection, job_id: JobId, now: datetime) -> bool:
    parameters = {"id": job_id, "now": to_micros(now), "source": _SOURCE}
    return connection.execute(SQL["request_cancel"], parameters).rowcount == 1


def delete(connection: sqlite3.Connection, ids: Sequence[JobId]) -> list[Operated]:
    """See ``Store.delete``."""

    def remove(job_id: JobId, before: Status) -> int:
        return connection.execute(SQL["delete"], {"id": job_id, "status": before.value}).rowcount

    return [_done_to_final(connection, job_id, remove) for job_id in ids]


def erase(connection: sqlite3.Connection, ids: Sequence[JobId], now: datetime) -> list[Operated]:
    """See ``Store.erase``."""
    parameters = {"text": ERASED_TEXT, "sources": json_list(sorted(FINAL)), "now": to_micros(now)}

    def wipe(job_id: JobId, before: Status) -> int:
        erased = connection.execute(SQL["erase"], {**parameters, "id": job_id}).rowcount
        connection.execute(SQL["erase_large"], {"id": job_id})
        return erased

    # Freed pages are overwritten with zeros; not always on, since everything that is pruned would pay for it.
    [usual] = connection.execute("PRAGMA secure_delete").fetchone()
    connection.execute("PRAGMA secure_delete = ON")
    try:
        return [_done_to_final(connection, job_id, wipe) for job_id in ids]
    finally:
        connection.execute(f"PRAGMA secure_delete = {int(usual)}")


def _done_to_final(connection: sqlite3.Connection, job_id: JobId, act: Callable[[JobId, Status], int]) -> Operated:
    standing = connection.execute(SQL["standing"], {"id": job_id}).fetchone()
    if standing is None:
        return Operated(job_id, None, None)
    before = Status(standing["status"])
    is_done = before in FINAL and act(job_id, before) == 1
    return _operated(job_id, before, before if is_done else None, standing)


def _operated(job_id: JobId, before: Status, after: Status | None, standing: sqlite3.Row) -> Operated:
    priority = Priority(standing["priority"])
    return Operated(job_id, before, after, standing["type"], standing["queue"], priority)


def publish_types(connection: sqlite3.Connection, types: Sequence[PublishedType], now: datetime) -> None:
    """See ``Store.publish_types``."""
    when = {"now": to_micros(now), "stale": to_micros(now - TYPE_REFRESH)}
    connection.executemany(SQL["publish_type"], [{**published_parameters(published), **when} for published in types])


def prune(connection: sqlite3.Connection, expiries: Sequence[Expiry], limit: int, now: datetime) -> dict[Status, int]:
    """See ``Store.prune``."""
    removed: dict[Status, int] = {}
    for expiry in expiries:
        parameters = {
            "status": expiry.status.value,
            "before": to_micros(expiry.before),
            "cutoff": _smallest_id_at(expiry.before),
            "limit": limit - sum(removed.values()),
        }
        expired = [
            {"id": row["id"], "status": expiry.status.value} for row in connection.execute(SQL["expired"], parameters)
        ]
        gone = sum(connection.execute(SQL["delete"], job).rowcount for job in expired)
        if gone:
            removed[expiry.status] = removed.get(expiry.status, 0) + gone
    connection.execute(SQL["prune_keys"], {"now": to_micros(now), "limit": limit})
    connection.execute(SQL["prune_workers"], {"before": to_micros(now - ENDED_LEASES_KEPT)})
    connection.execute(SQL["prune_types"], {"before": to_micros(now - TYPES_KEPT)})
    return removed


def _smallest_id_at(moment: datetime) -> str:
    """The smallest UUIDv7 text of a millisecond (RFC 9562 section 5.7)."""
    digits = f"{max(0, to_micros(moment) // 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-000000000000"
