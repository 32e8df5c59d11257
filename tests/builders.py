"""Rows for tests: sensible defaults, and every field can be overridden by name. The only way tests make rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from treadle.ids import new_job_id, new_worker_id
from treadle.job import AttemptError, NewJob
from treadle.queue import DEFAULT_QUEUE, Priority
from treadle.retry import Backoff
from treadle.states import Verb
from treadle.store.protocol import IdempotencyKey, Move, PublishedType, Submission, WorkerRecord

NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
"""The moment at which tests take place unless they say otherwise; no clock is read."""


def a_new_job(**overrides: Any) -> NewJob:
    """A job that is about to be inserted, ready to run at once."""
    job = NewJob(
        id=new_job_id(),
        type="TEST",
        queue=DEFAULT_QUEUE,
        priority=Priority.DEFAULT,
        payload=b'{"n":1}',
        max_attempts=3,
        max_crashes=3,
        timeout_seconds=900.0,
        backoff=Backoff(),
    )
    return replace(job, **overrides)


def a_key(**overrides: Any) -> IdempotencyKey:
    """A client's idempotency key, fresh for a day."""
    key = IdempotencyKey(scope="", key="order-1", fingerprint=b"\x01" * 32, expires_at=NOW + timedelta(days=1))
    return replace(key, **overrides)


def a_submission(*jobs: NewJob, key: IdempotencyKey | None = None, **overrides: Any) -> Submission:
    """One request: of ``jobs``, or of one job made with ``overrides``."""
    return Submission(jobs or (a_new_job(**overrides),), key)


def a_worker(**overrides: Any) -> WorkerRecord:
    """The lease row of a worker that has just started and serves every queue."""
    worker = WorkerRecord(
        id=new_worker_id(),
        host="host.example.com",
        pid=4711,
        version="0.1.0",
        queues=(),
        concurrency=16,
        running=0,
        beat=0,
        started_at=NOW,
        beat_at=NOW,
        ended_at=None,
    )
    return replace(worker, **overrides)


def a_type(**overrides: Any) -> PublishedType:
    """A type that some process published."""
    published = PublishedType(
        name="THUMBNAIL",
        queue="images",
        max_attempts=5,
        max_crashes=2,
        timeout_seconds=30.0,
        backoff=Backoff(1.0, 300.0),
        own_backoff=Backoff(2.0, 600.0),
        schema='{"type":"object"}',
        published_at=NOW,
    )
    return replace(published, **overrides)


def an_attempt_error(**overrides: Any) -> AttemptError:
    """What a failed first attempt leaves behind."""
    error = AttemptError(
        attempt=1,
        started_at=NOW,
        ended_at=NOW + timedelta(seconds=1),
        kind="ValueError",
        message="no such thing",
        traceback=None,
        worker=None,
    )
    return replace(error, **overrides)


def a_move(**overrides: Any) -> Move:
    """The end of a first attempt that completed with ``null``, of a job as ``a_job`` makes it."""
    line: dict[str, Any] = {"type": "TEST", "queue": "default", "priority": Priority.DEFAULT}
    move = Move(job_id=new_job_id(), attempt=1, verb=Verb.COMPLETE, result=b"null", **line)
    return replace(move, **overrides)
