"""Jobs as data: what is submitted, what is claimed, what is read back. Frozen records, no behaviour.

Payloads, results and other JSON are carried as bytes of compact JSON text: they pass through the house
undecoded, and only a handler pays for making objects of them.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from treadle.errors import Problem
from treadle.ids import JobId, WorkerId
from treadle.queue import Priority
from treadle.retry import Backoff
from treadle.states import Status

MAX_TYPE_LENGTH = 128
MAX_TIMEOUT_SECONDS = 7 * 86_400
DEFAULT_TIMEOUT_SECONDS = 900.0
MAX_RESULT_BYTES = 256 * 1024
"""A result is a small answer; what is large is an artifact."""
MAX_CHECKPOINT_BYTES = 64 * 1024
MAX_KEPT_ERRORS = 25


class JobRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks for, before the type's policy is resolved into it; ``None`` means not said.

    ``problems`` were found while reading it, with pointers from the job's own root; resolving adds its own,
    so that a caller is told everything at once.
    """

    type: str | None = None
    payload: bytes | None = None
    priority: Priority | None = None
    queue: str | None = None
    run_at: datetime | None = None
    delay_seconds: float | None = None
    max_attempts: int | None = None
    timeout_seconds: float | None = None
    traceparent: str | None = None
    """The trace this is part of, valid by ``telemetry/tracing``; of no body, but of the request around it."""
    problems: tuple[Problem, ...] = ()


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job about to be inserted, its type's policy resolved into it."""

    id: JobId
    type: str
    queue: str
    priority: Priority
    payload: bytes
    max_attempts: int
    max_crashes: int
    timeout_seconds: float
    backoff: Backoff
    run_at: datetime | None = None
    """``None``: at once (``queued``); else ``scheduled``."""
    traceparent: str | None = None


class ClaimedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job in a worker's hands: all that running and settling it needs."""

    id: JobId
    type: str
    queue: str
    priority: Priority
    payload: bytes
    attempt: int
    failures: int
    crashes: int
    snoozes: int
    max_attempts: int
    max_crashes: int
    timeout_seconds: float
    backoff: Backoff
    created_at: datetime
    queued_at: datetime
    started_at: datetime
    checkpoint: bytes | None
    traceparent: str | None


class Orphan(msgspec.Struct, frozen=True, kw_only=True):
    """A ``processing`` job whose worker's lease has ended."""

    id: JobId
    type: str
    attempt: int
    crashes: int
    max_crashes: int
    backoff: Backoff
    started_at: datetime
    worker_id: WorkerId | None


class AttemptError(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One ended attempt that failed, as it is stored and shown."""

    attempt: int
    started_at: datetime
    ended_at: datetime
    kind: str
    message: str
    traceback: str | None
    worker: str | None


class StoredJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job as read back."""

    id: JobId
    type: str
    queue: str
    priority: Priority
    status: Status
    attempt: int
    failures: int
    crashes: int
    max_attempts: int
    timeout_seconds: float
    cancel_requested: bool
    created_at: datetime
    updated_at: datetime
    run_at: datetime | None
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    erased_at: datetime | None
    worker_id: WorkerId | None
    payload: bytes | None
    """``None`` unless it was asked for."""
    result: bytes | None
    error: str | None
    errors: bytes
    progress: bytes | None
    artifacts: bytes
