"""The shapes of answers, for the OpenAPI document alone: answers are made of stored text, which passes as it is.

Nothing is encoded or decoded with these. That they tell the truth is checked against a running server, by its answers.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from treadle.job import AttemptError
from treadle.states import Status

Id = Annotated[
    str,
    msgspec.Meta(
        pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", examples=["019c0000-0000-7000-8000-000000000000"]
    ),
]
Count = Annotated[int, msgspec.Meta(ge=0)]
Priority = Literal["high", "default"]


class Problem(msgspec.Struct, forbid_unknown_fields=True):
    """One thing that is wrong: where (a JSON Pointer; of a query, `/` and the parameter's name), and why."""

    pointer: str
    code: str
    detail: str


class ProblemDocument(msgspec.Struct, forbid_unknown_fields=True):
    """An error (RFC 9457)."""

    type: Annotated[str, msgspec.Meta(pattern="^/problems/[a-z-]+$")]
    title: str
    status: int
    detail: str
    instance: str
    errors: list[Problem]
    error: Annotated[str, msgspec.Meta(description="The same as detail")]


class Submitted(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """The job is committed and flushed to disk."""

    job_id: Id


class BatchSubmitted(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """All jobs are committed, in the order of the request."""

    job_ids: list[Id]


class Progress(msgspec.Struct, forbid_unknown_fields=True):
    """What the handler told last."""

    done: float
    total: float | None
    message: str | None


class Artifact(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A file that the job has written."""

    name: str
    path: str
    size_bytes: Count
    sha256: str
    media_type: str


class Job(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A job as it stands."""

    id: Id
    type: str
    queue: str
    priority: Priority
    status: Status
    attempts: Annotated[int, msgspec.Meta(ge=0, description="Starts ever")]
    failures: Count
    crashes: Count
    max_attempts: Count
    timeout_seconds: float
    result: Any
    error: str | None
    errors: Annotated[list[AttemptError], msgspec.Meta(description="The last 25 attempts that failed")]
    progress: Progress | None
    cancel_requested: bool
    created_at: datetime
    updated_at: datetime
    run_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    erased_at: datetime | None
    worker: str | None
    artifacts: list[Artifact]
    payload: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class JobPage(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Jobs, newest first; it may be short and still have a nextCursor."""

    jobs: list[Job]
    next_cursor: str | None


class Cancelled(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Where the job stands."""

    job_id: Id
    status: Status
    cancel_requested: bool


class Moved(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Where the job stands now."""

    job_id: Id
    status: Status


class Deleted(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """The job is gone."""

    job_id: Id
    files_removed: Count


class Stats(msgspec.Struct, forbid_unknown_fields=True):
    """Jobs by status, each counted up to `cap`."""

    counts: dict[Status, Count]
    capped: list[Status]
    cap: Count


class Worker(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A process that claims jobs."""

    id: str
    host: str
    pid: int
    version: str
    queues: Annotated[list[str], msgspec.Meta(description="None: every queue")]
    concurrency: Count
    running: Count
    started_at: datetime
    beat_at: datetime


class Workers(msgspec.Struct, forbid_unknown_fields=True):
    """Those whose lease has not ended."""

    workers: list[Worker]


class Depth(msgspec.Struct, forbid_unknown_fields=True):
    """Jobs that are ready, by priority."""

    high: Count
    default: Count


class Queue(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """One line."""

    name: str
    paused: bool
    paused_at: datetime | None
    queued: Depth
    processing: Count
    oldest_queued_at: datetime | None


class Queues(msgspec.Struct, forbid_unknown_fields=True):
    """Every line there is; depths are counted up to `cap`."""

    queues: list[Queue]
    cap: Count


class Switched(msgspec.Struct, forbid_unknown_fields=True):
    """Whether claims from the queue are stopped."""

    name: str
    paused: bool


class JobType(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """What may be submitted."""

    name: str
    queue: str
    max_attempts: Count
    timeout_seconds: float
    origin: Annotated[
        Literal["process", "published"],
        msgspec.Meta(description="Whether the answering process has the code itself"),
    ]
    schema: Annotated[dict[str, Any], msgspec.Meta(description="JSON Schema 2020-12 of the payload")]


class JobTypes(msgspec.Struct, forbid_unknown_fields=True):
    """By name."""

    types: list[JobType]


class Alive(msgspec.Struct, forbid_unknown_fields=True):
    """The process answers."""

    status: Literal["ok"]


class Checks(msgspec.Struct, forbid_unknown_fields=True):
    """By name."""

    store: Literal["ok", "unavailable"]
    output: Literal["ok", "unavailable"]
    hints: Literal["ok", "unavailable"]


class Health(msgspec.Struct, forbid_unknown_fields=True):
    """Whether the process can do its work."""

    status: Literal["ok", "degraded", "unavailable"]
    checks: Checks
