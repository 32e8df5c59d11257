"""Rows to records: the driver's UUIDs to the house's text, labels to priorities."""

from __future__ import annotations

from datetime import datetime

import asyncpg

from treadle.ids import JobId, WorkerId
from treadle.job import ClaimedJob, Orphan, StoredJob
from treadle.queue import PRIORITY_BY_LABEL
from treadle.retry import Backoff
from treadle.states import Status
from treadle.store.protocol import PublishedType, WorkerRecord

Row = asyncpg.Record


def job_id(row: Row) -> JobId:
    """The id of a row that is a job's."""
    return JobId(str(row["id"]))


def claimed_job(row: Row, started_at: datetime) -> ClaimedJob:
    """A row of the queries ``claim`` and ``claim_scan``, in the order of their columns: a look-up by name in each
    would cost as much again. ``started_at`` is the claim's own moment; a job that was queued when it was created has
    no other: a time that is read back costs as much as six numbers."""
    (
        row_id, type_name, queue, priority, payload, attempt, failures, crashes, snoozes, max_attempts, max_crashes,
        timeout_seconds, base_seconds, cap_seconds, created_at, requeued_at, checkpoint, traceparent,
    ) = row  # fmt: skip
    return ClaimedJob(
        id=JobId(str(row_id)),
        type=type_name,
        queue=queue,
        priority=PRIORITY_BY_LABEL[priority],
        payload=payload,
        attempt=attempt,
        failures=failures,
        crashes=crashes,
        snoozes=snoozes,
        max_attempts=max_attempts,
        max_crashes=max_crashes,
        timeout_seconds=timeout_seconds,
        backoff=Backoff(base_seconds, cap_seconds),
        created_at=created_at,
        queued_at=requeued_at or created_at,
        started_at=started_at,
        checkpoint=checkpoint,
        traceparent=traceparent,
    )


def queued_at(row: Row) -> datetime:
    """When a row of ``claim_scan`` was queued."""
    moment: datetime = row["requeued_at"] or row["created_at"]
    return moment


def orphan(row: Row) -> Orphan:
    """A row of the query ``orphans``."""
    return Orphan(
        id=job_id(row),
        type=row["type"],
        attempt=row["attempts"],
        crashes=row["crashes"],
        max_crashes=row["max_crashes"],
        backoff=Backoff(row["backoff_base_seconds"], row["backoff_cap_seconds"]),
        started_at=row["started_at"],
        worker_id=WorkerId(str(row["worker_id"])),
    )


def stored_job(row: Row, *, payload: bool) -> StoredJob:
    """A row of the query ``get``."""
    worker_id = row["worker_id"]
    return StoredJob(
        id=job_id(row),
        type=row["type"],
        queue=row["queue"],
        priority=PRIORITY_BY_LABEL[row["priority"]],
        status=Status(row["status"]),
        attempt=row["attempts"],
        failures=row["failures"],
        crashes=row["crashes"],
        max_attempts=row["max_attempts"],
        timeout_seconds=row["timeout_seconds"],
        cancel_requested=row["cancel_requested"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        run_at=row["run_at"],
        queued_at=row["queued_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        erased_at=row["erased_at"],
        worker_id=None if worker_id is None else WorkerId(str(worker_id)),
        payload=row["payload"] if payload else None,
        result=row["result"],
        error=row["error"],
        errors=row["errors"],
        progress=row["progress"],
        artifacts=row["artifacts"],
    )


def worker_record(row: Row) -> WorkerRecord:
    """A row of the query ``workers``."""
    return WorkerRecord(
        id=WorkerId(str(row["id"])),
        host=row["host"],
        pid=row["pid"],
        version=row["version"],
        queues=tuple(row["queues"]),
        concurrency=row["concurrency"],
        running=row["running"],
        beat=row["beat"],
        started_at=row["started_at"],
        beat_at=row["beat_at"],
        ended_at=row["ended_at"],
    )


def published_type(row: Row) -> PublishedType:
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
        published_at=row["published_at"],
    )
