"""Rows to records and back: microseconds to datetimes, text to bytes of JSON."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from treadle.ids import JobId, WorkerId
from treadle.job import ClaimedJob, NewJob, Orphan, StoredJob
from treadle.jsontext import check_utf8
from treadle.queue import Priority
from treadle.retry import Backoff
from treadle.states import Status
from treadle.store.protocol import PublishedType, WorkerRecord

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SCHEDULED = Status.SCHEDULED.value
_QUEUED = Status.QUEUED.value
_backoff = lru_cache(maxsize=256)(Backoff)
_PRIORITIES = {int(priority): priority for priority in Priority}
"""Looked up: calling an enumeration costs as much as all the rest of a column."""


def to_micros(moment: datetime) -> int:
    """Whole microseconds since 1970 UTC."""
    return (moment - _EPOCH) // _MICROSECOND


def to_micros_or_none(moment: datetime | None) -> int | None:
    """The same, of a time that may be absent."""
    return None if moment is None else to_micros(moment)


def moment(micros: int) -> datetime:
    """The inverse of ``to_micros``."""
    return _EPOCH + timedelta(microseconds=micros)


def moment_or_none(micros: int | None) -> datetime | None:
    """The same, of a column that may be NULL."""
    return None if micros is None else moment(micros)


def text_or_none(data: bytes | None) -> str | None:
    """JSON bytes as the text that is stored."""
    return None if data is None else data.decode()


def bytes_or_none(text: str | None) -> bytes | None:
    """The inverse of ``text_or_none``."""
    return None if text is None else text.encode()


MAX_INLINE_PAYLOAD_BYTES = 64 * 1024
"""A payload beyond this has a row of its own, see migration 0002. A guess: sixteen pages, written four times a life."""
ELSEWHERE = b"null"
"""What stands in ``jobs.payload`` of such a job."""


def has_large_payload(job: NewJob) -> bool:
    """Whether the query ``insert_large`` is needed as well."""
    return len(job.payload) > MAX_INLINE_PAYLOAD_BYTES


def insert_row(job: NewJob, now_micros: int) -> tuple[object, ...]:
    """What the query ``insert`` takes, by position.

    Raises ``UnicodeError``: SQLite's own cast to TEXT takes any bytes.
    """
    if not job.payload.isascii():
        check_utf8(job.payload)
    scheduled = job.run_at is not None
    return (
        job.id,
        job.type,
        job.queue,
        int(job.priority),
        _SCHEDULED if scheduled else _QUEUED,
        job.max_attempts,
        job.max_crashes,
        job.timeout_seconds,
        job.backoff.base_seconds,
        job.backoff.cap_seconds,
        ELSEWHERE if has_large_payload(job) else job.payload,
        now_micros,
        now_micros,
        to_micros_or_none(job.run_at),
        None if scheduled else now_micros,
        job.traceparent,
    )


def claimed_job(row: tuple[Any, ...], payload: bytes, now: datetime) -> ClaimedJob:
    """A row of the query ``claimable``, its whole payload, and when it is claimed."""
    (_, job_id, type_name, queue, priority, _, attempt, failures, crashes, snoozes, max_attempts, max_crashes) = row[
        :12
    ]
    (timeout_seconds, base_seconds, cap_seconds, created_at, queued_at, checkpoint, traceparent) = row[12:]
    created = moment(created_at)
    return ClaimedJob(
        id=job_id,
        type=type_name,
        queue=queue,
        priority=_PRIORITIES[priority],
        payload=payload,
        attempt=attempt,
        failures=failures,
        crashes=crashes,
        snoozes=snoozes,
        max_attempts=max_attempts,
        max_crashes=max_crashes,
        timeout_seconds=timeout_seconds,
        backoff=_backoff(base_seconds, cap_seconds),
        created_at=created,
        queued_at=created if queued_at == created_at else moment(queued_at),
        started_at=now,
        checkpoint=bytes_or_none(checkpoint),
        traceparent=traceparent,
    )


def orphan(row: sqlite3.Row) -> Orphan:
    """A row of the query ``orphans``."""
    return Orphan(
        id=JobId(row["id"]),
        type=row["type"],
        attempt=row["attempt"],
        crashes=row["crashes"],
        max_crashes=row["max_crashes"],
        backoff=Backoff(row["backoff_base_seconds"], row["backoff_cap_seconds"]),
        started_at=moment(row["started_at"]),
        worker_id=WorkerId(row["worker_id"]),
    )


def stored_job(row: sqlite3.Row, payload: bytes | None) -> StoredJob:
    """A row of the query ``get``, and its whole payload where it was asked for."""
    return StoredJob(
        id=JobId(row["id"]),
        type=row["type"],
        queue=row["queue"],
        priority=Priority(row["priority"]),
        status=Status(row["status"]),
        attempt=row["attempt"],
        failures=row["failures"],
        crashes=row["crashes"],
        max_attempts=row["max_attempts"],
        timeout_seconds=row["timeout_seconds"],
        cancel_requested=bool(row["cancel_requested"]),
        created_at=moment(row["created_at"]),
        updated_at=moment(row["updated_at"]),
        run_at=moment_or_none(row["run_at"]),
        queued_at=moment_or_none(row["queued_at"]),
        started_at=moment_or_none(row["started_at"]),
        finished_at=moment_or_none(row["finished_at"]),
        erased_at=moment_or_none(row["erased_at"]),
        worker_id=row["worker_id"],
        payload=payload,
        result=bytes_or_none(row["result"]),
        error=row["error"],
        errors=row["errors"].encode(),
        progress=bytes_or_none(row["progress"]),
        artifacts=row["artifacts"].encode(),
    )


def worker_parameters(worker: WorkerRecord) -> dict[str, object]:
    """What the query ``register_worker`` takes."""
    return {
        "id": worker.id,
        "host": worker.host,
        "pid": worker.pid,
        "version": worker.version,
        "queues": msgspec.json.encode(worker.queues).decode(),
        "concurrency": worker.concurrency,
        "running": worker.running,
        "beat": worker.beat,
        "started_at": to_micros(worker.started_at),
        "beat_at": to_micros(worker.beat_at),
        "ended_at": to_micros_or_none(worker.ended_at),
    }


def worker_record(row: sqlite3.Row) -> WorkerRecord:
    """A row of the query ``workers``."""
    return WorkerRecord(
        id=WorkerId(row["id"]),
        host=row["host"],
        pid=row["pid"],
        version=row["version"],
        queues=tuple(msgspec.json.decode(row["queues"])),
        concurrency=row["concurrency"],
        running=row["running"],
        beat=row["beat"],
        started_at=moment(row["started_at"]),
        beat_at=moment(row["beat_at"]),
        ended_at=moment_or_none(row["ended_at"]),
    )


def published_parameters(published: PublishedType) -> dict[str, object]:
    """What the query ``publish_type`` takes of a type."""
    return {
        "name": published.name,
        "queue": published.queue,
        "max_attempts": published.max_attempts,
        "max_crashes": published.max_crashes,
        "timeout_seconds": published.timeout_seconds,
        "backoff_base_seconds": published.backoff.base_seconds,
        "backoff_cap_seconds": published.backoff.cap_seconds,
        "own_base_seconds": published.own_backoff.base_seconds,
        "own_cap_seconds": published.own_backoff.cap_seconds,
        "schema": published.schema,
        "published_at": to_micros(published.published_at),
    }


def published_type(row: sqlite3.Row) -> PublishedType:
    """A row of the query ``types``."""
    return PublishedType(
        name=row["name"],
        queue=row["queue"],
        max_attempts=row["max_attempts"],
        max_crashes=row["max_crashes"],
        timeout_seconds=row["timeout_seconds"],
        backoff=Backoff(row["backoff_base_seconds"], row["backoff_cap_seconds"]),
        own_backoff=Backoff(row["own_base_seconds"], row["own_cap_seconds"]),
        schema=row["schema"],
        published_at=moment(row["published_at"]),
    )
