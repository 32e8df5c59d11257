"""Whole rows, as no verb needs them: for moving an installation from one store to another, and comparing the two."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from treadle.ids import JobId, WorkerId
from treadle.queue import Priority
from treadle.states import Status


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a store keeps of one job. JSON is carried as the bytes that were stored."""

    id: JobId
    type: str
    queue: str
    priority: Priority
    status: Status
    attempt: int
    failures: int
    crashes: int
    snoozes: int
    max_attempts: int
    max_crashes: int
    timeout_seconds: float
    backoff_base_seconds: float
    backoff_cap_seconds: float
    cancel_requested: bool
    payload: bytes
    result: bytes | None
    error: str | None
    errors: bytes
    progress: bytes | None
    checkpoint: bytes | None
    artifacts: bytes
    worker_id: WorkerId | None
    created_at: datetime
    updated_at: datetime
    run_at: datetime | None
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    erased_at: datetime | None
    traceparent: str | None


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """An idempotency key that has not expired yet."""

    scope: str
    key: str
    fingerprint: bytes
    job_ids: tuple[JobId, ...]
    expires_at: datetime


class QueueRow(msgspec.Struct, frozen=True):
    """A declared queue."""

    name: str
    paused_at: datetime | None


class Source(Protocol):
    """What rows are read from. Nobody else writes while they are read."""

    async def job_count(self) -> int:
        """All jobs there are."""
        ...

    async def read_jobs(self, above: JobId | None, limit: int) -> list[JobRow]:
        """At most ``limit`` jobs with ids above ``above``, in the order of ids."""
        ...

    async def read_keys(self) -> list[KeyRow]:
        """All idempotency keys, in the order of scope and key."""
        ...

    async def read_queues(self) -> list[QueueRow]:
        """All declared queues, in the order of names."""
        ...


class Target(Source, Protocol):
    """What rows are written to."""

    async def write_jobs(self, rows: Sequence[JobRow]) -> None:
        """Write rows whose ids are not there yet; those that are stay as they are. One transaction."""
        ...

    async def write_keys(self, rows: Sequence[KeyRow]) -> None:
        """The same for keys."""
        ...

    async def write_queues(self, rows: Sequence[QueueRow]) -> None:
        """The same for queues; a pause is taken over."""
        ...


class Checksum:
    """SHA-256 over rows in the order of their ids: equal for equal rows, whatever store they came from."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._encode = msgspec.msgpack.Encoder().encode

    def add(self, rows: Sequence[msgspec.Struct]) -> None:
        """Take the next rows in."""
        for row in rows:
            self._digest.update(self._encode(row))

    @property
    def text(self) -> str:
        """The digest so far, in hexadecimal."""
        return self._digest.hexdigest()
