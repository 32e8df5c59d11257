"""What the OpenAPI document says of each door: parameters, body, and every status it can answer with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from treadle.api import shapes
from treadle.api.admin import DEFAULT_LIMIT, MAX_LIMIT
from treadle.api.jobs import MAX_KEY_LENGTH, MAX_WAIT_SECONDS
from treadle.job import MAX_TYPE_LENGTH
from treadle.queue import PRIORITY_BY_LABEL
from treadle.service.browse import FAILED_FOR_GOOD
from treadle.states import Status

Schema = Mapping[str, Any]

ALWAYS = (400, 408, 414, 421, 431)
"""Of any request: its header, address, host and query."""
STORE = (503,)
JOB = (404, *STORE)
CHANGE = (409, 413, *JOB)
SUBMIT = (409, 413, 415, 422, *STORE)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter or a header field."""

    name: str
    schema: Schema
    where: str = "query"
    means: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One door. ``answers``: the shape by status, ``None`` for one that is no JSON; ``refusals``: statuses of problems
    besides ``ALWAYS`` and those of the guard. ``takes``: the component that is its body."""

    summary: str
    answers: Mapping[int, type | None]
    refusals: Sequence[int] = ()
    parameters: Sequence[Parameter] = ()
    takes: str | None = None


def _words(choice: Sequence[str]) -> Schema:
    return {"type": "string", "enum": list(choice)}


KEY = Parameter(
    "Idempotency-Key",
    # Quotes are left out: a key may be sent as a quoted string, and then means what is between them.
    {"type": "string", "pattern": "^[!\\x23-\\x7e]+$", "minLength": 1, "maxLength": MAX_KEY_LENGTH},
    "header",
    "The same key with the same body is answered with the same job for 24 hours",
)
STATUS = Parameter("status", _words(list(Status)))
QUEUE_NAME: Schema = {"type": "string", "pattern": "^(?!high_priority$)[a-z0-9][a-z0-9_-]{0,62}$"}
FILTERS = (
    Parameter("type", {"type": "string", "minLength": 1, "maxLength": MAX_TYPE_LENGTH}),
    Parameter("queue", QUEUE_NAME),
    Parameter("priority", _words(list(PRIORITY_BY_LABEL))),
    Parameter("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}),
    Parameter("cursor", {"type": "string", "format": "cursor"}, means="The nextCursor of an earlier page"),
)

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("POST", "/jobs"): Operation(
        "submit one job; 201 and its id once it is on disk",
        {201: shapes.Submitted, 200: shapes.Submitted},
        SUBMIT,
        (KEY,),
        "Submission",
    ),
    ("POST", "/jobs/batch"): Operation(
        "submit up to 10,000 jobs, all or none",
        {201: shapes.BatchSubmitted, 200: shapes.BatchSubmitted},
        SUBMIT,
        (KEY,),
        "Batch",
    ),
    ("GET", "/jobs/{job_id}"): Operation(
        "one job; `include=payload`, `wait=SECONDS`",
        {200: shapes.Job},
        JOB,
        (
            Parameter("include", _words(["payload"])),
            Parameter(
                "wait",
                {"type": "number", "format": "decimal", "minimum": 0, "maximum": MAX_WAIT_SECONDS},
                means="Seconds; the answer comes when the job is final or they are over",
            ),
        ),
    ),
    ("GET", "/jobs/{job_id}/result"): Operation(
        "the file it made", {200: None, 206: None, 304: None}, (409, 410, 416, *JOB)
    ),
    ("POST", "/jobs/{job_id}/cancel"): Operation(
        "cancel it, or ask a running one to stop", {200: shapes.Cancelled, 202: shapes.Cancelled}, CHANGE
    ),
    ("GET", "/types"): Operation(
        "the job types that may be submitted, with the schema of their payloads", {200: shapes.JobTypes}, STORE
    ),
    ("GET", "/openapi.json"): Operation(
        "all of this as OpenAPI 3.1, with a schema and an example of every job type", {200: None}, STORE
    ),
    ("GET", "/admin/jobs"): Operation(
        "jobs, newest first; filters and pages", {200: shapes.JobPage}, STORE, (STATUS, *FILTERS)
    ),
    ("GET", "/admin/jobs/{job_id}"): Operation("one job, with its payload", {200: shapes.Job}, JOB),
    ("POST", "/admin/jobs/{job_id}/retry"): Operation(
        "a new life for a job that failed, is dead or was cancelled", {200: shapes.Moved}, CHANGE
    ),
    ("POST", "/admin/jobs/{job_id}/dlq"): Operation(
        "put a job that failed or waits for a retry into the dead-letter queue", {200: shapes.Moved}, CHANGE
    ),
    ("POST", "/admin/jobs/{job_id}/cancel"): Operation(
        "as `POST /jobs/{id}/cancel`, for operators", {200: shapes.Cancelled, 202: shapes.Cancelled}, CHANGE
    ),
    ("POST", "/admin/jobs/{job_id}/delete"): Operation(
        "remove a final job; `files=true` removes its files too",
        {200: shapes.Deleted},
        CHANGE,
        (Parameter("files", _words(["true", "false"]), means="Its files too"),),
    ),
    ("POST", "/admin/jobs/{job_id}/erase"): Operation(
        "empty a final job of what it held, and keep its row", {200: shapes.Moved}, CHANGE
    ),
    ("GET", "/admin/failed"): Operation(
        "jobs that failed for good: failed and dead",
        {200: shapes.JobPage},
        STORE,
        (Parameter("status", _words(list(FAILED_FOR_GOOD))), *FILTERS),
    ),
    ("GET", "/admin/dlq"): Operation("the dead-letter queue", {200: shapes.JobPage}, STORE, FILTERS),
    ("GET", "/admin/stats"): Operation("how many jobs have each status", {200: shapes.Stats}, STORE),
    ("GET", "/admin/workers"): Operation("live workers", {200: shapes.Workers}, STORE),
    ("GET", "/admin/queues"): Operation("queues, how deep they are, which are paused", {200: shapes.Queues}, STORE),
    ("POST", "/admin/queues/{name}/pause"): Operation(
        "stop claims from a queue, everywhere", {200: shapes.Switched}, (404, 413, *STORE)
    ),
    ("POST", "/admin/queues/{name}/resume"): Operation("let them go on", {200: shapes.Switched}, (404, 413, *STORE)),
    ("GET", "/health"): Operation(
        "whether the process can do its work: 200 or 503, with its checks", {200: shapes.Health, 503: shapes.Health}
    ),
    ("GET", "/metrics"): Operation("figures for Prometheus", {200: None}),
    ("GET", "/live"): Operation("whether the process answers", {200: shapes.Alive}),
}
"""By method and path; every door of the route table has one, which a test holds."""
