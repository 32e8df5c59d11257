"""What the server's answers hold, as records. Members that a newer server adds are ignored."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from treadle.job import AttemptError
from treadle.states import FINAL, Status


class Progress(msgspec.Struct, frozen=True):
    """How far a job says it is, in its own units; ``total`` and ``message`` where it told them."""

    done: float
    total: float | None = None
    message: str | None = None


class Artifact(msgspec.Struct, frozen=True, rename="camel"):
    """One published file: its name, its size and its SHA-256 in hexadecimal."""

    name: str
    path: str
    size_bytes: int
    sha256: str
    media_type: str


class JobRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A job as the server told it; docs/http.md says what the members mean. Times are aware UTC."""

    id: str
    type: str
    queue: str
    priority: str
    status: Status
    attempts: int
    failures: int
    crashes: int
    max_attempts: int
    timeout_seconds: float
    result: Any = None
    error: str | None = None
    errors: tuple[AttemptError, ...] = ()
    progress: Progress | None = None
    cancel_requested: bool = False
    created_at: datetime
    updated_at: datetime
    run_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    erased_at: datetime | None = None
    worker: str | None = None
    artifacts: tuple[Artifact, ...] = ()
    payload: Any = None
    """``None`` unless it was asked for."""

    @property
    def is_final(self) -> bool:
        """Whether the job has ended: ``completed``, ``failed``, ``dead`` or ``cancelled``."""
        return self.status in FINAL


class JobsPage(msgspec.Struct, frozen=True, rename="camel"):
    """Jobs newest first. A page may be short, even empty, and still have a ``next_cursor``."""

    jobs: tuple[JobRecord, ...]
    next_cursor: str | None = None
