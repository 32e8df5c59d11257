"""Jobs to and from JSON: the only place that knows the member names of the HTTP contract."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal

import msgspec

from treadle.errors import InvalidInput, Problem, Unstorable
from treadle.job import MAX_TIMEOUT_SECONDS, MAX_TYPE_LENGTH, JobRequest, StoredJob
from treadle.jsontext import check_strict, elements, to_storable
from treadle.queue import PRIORITY_BY_LABEL, QUEUE_NAME_RULE, is_queue_name
from treadle.retry import MAX_ATTEMPTS_LIMIT
from treadle.schema import MAX_REPORTED_PROBLEMS, pointer

MAX_BATCH_JOBS = 10_000
MAX_DELAY_SECONDS = 366 * 86_400

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    """The body nearly everybody sends, decoded in one step; anything else takes the careful way."""

    type: str
    payload: msgspec.Raw
    priority: Literal["high", "default"] = "default"


class _PlainBatch(msgspec.Struct, forbid_unknown_fields=True):
    jobs: list[_Plain]


_PLAIN_BATCH = msgspec.json.Decoder(_PlainBatch)
_PLAIN = msgspec.json.Decoder(_Plain)
_RAW_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_submission(body: bytes) -> JobRequest:
    """The body of ``POST /jobs``. Raises ``InvalidInput`` where it is not even one strict JSON object."""
    check_strict(body)
    return _read_job(body)


def read_batch(body: bytes) -> list[JobRequest]:
    """The body of ``POST /jobs/batch``: ``{"jobs": [...]}``, 1 to 10,000 of them. Raises ``InvalidInput``."""
    check_strict(body)
    return _read_plain_batch(body) or _read_batch_carefully(body)


def _read_plain_batch(body: bytes) -> list[JobRequest] | None:
    """All at once where all are plain, which takes a third of the time; ``None`` where one of them is not."""
    if body.count(b'"payload"') > MAX_BATCH_JOBS:  # before there is a list of a million
        return None
    try:
        jobs = _PLAIN_BATCH.decode(body).jobs
    except msgspec.ValidationError:
        return None
    requests = [request for job in jobs if (request := _plain_request(job)) is not None]
    return requests if len(requests) == len(jobs) <= MAX_BATCH_JOBS else None


def _read_batch_carefully(body: bytes) -> list[JobRequest]:
    try:
        members = _RAW_MEMBERS.decode(body)
    except msgspec.ValidationError:
        raise InvalidInput([Problem("", "type", "expected an object with the member jobs")]) from None
    problems = _unknown(members, {"jobs"})
    jobs: list[memoryview] = []
    if "jobs" not in members:
        problems.append(Problem("/jobs", "required", "this member is required"))
    elif not _begins(members["jobs"], b"["):
        problems.append(Problem("/jobs", "type", "expected an array of jobs"))
    else:
        jobs = list(islice(elements(memoryview(members["jobs"])), MAX_BATCH_JOBS + 1))
        if not 1 <= len(jobs) <= MAX_BATCH_JOBS:
            problems.append(Problem("/jobs", "length", f"expected 1 to {MAX_BATCH_JOBS} jobs"))
    if problems:
        raise InvalidInput(problems)
    return [_read_job(job) for job in jobs]


def _read_job(text: bytes | memoryview) -> JobRequest:
    try:
        plain = _PLAIN.decode(text)
    except msgspec.ValidationError:
        return _read_carefully(text)
    return _plain_request(plain) or _read_carefully(text)


def _plain_request(plain: _Plain) -> JobRequest | None:
    payload = bytes(plain.payload)
    if payload[:1] != b"{" or not 0 < len(plain.type) <= MAX_TYPE_LENGTH:
        return None
    return JobRequest(type=plain.type, payload=payload, priority=PRIORITY_BY_LABEL[plain.priority])


def _begins(raw: msgspec.Raw, first: bytes) -> bool:
    return bytes(memoryview(raw)[:1]) == first


def _unknown(members: Iterable[str], known: Collection[str]) -> list[Problem]:
    unknown = (name for name in members if name not in known)
    return [
        Problem(pointer(name), "unknown_field", "no such member") for name in islice(unknown, MAX_REPORTED_PROBLEMS)
    ]


class _Reader:
    """Reads members one by one, and remembers every problem."""

    def __init__(self, members: Mapping[str, msgspec.Raw]) -> None:
        self._members = members
        self.problems: list[Problem] = []

    def refuse(self, name: str, code: str, detail: str) -> None:
        self.problems.append(Problem(pointer(name), code, detail))

    def value(self, name: str, kind: type | tuple[type, ...], words: str) -> Any:
        """The member's value where it is there and of the right kind; ``null`` is not the same as absent."""
        raw = self._members.get(name)
        if raw is None:
            return None
        value = msgspec.json.decode(raw)
        if not isinstance(value, kind) or isinstance(value, bool):
            self.refuse(name, "type", f"expected {words}")
            return None
        return value

    def text(self, name: str) -> str | None:
        value: str | None = self.value(name, str, "a string")
        return value

    def number(self, name: str, low: float, high: float, *, whole: bool = False) -> Any:
        words = f"{'a whole number' if whole else 'a number'} from {low:g} to {high:g}"
        value = self.value(name, int if whole else (int, float), words)
        if value is not None and not low <= value <= high:
            self.refuse(name, "range", f"expected {words}")
            return None
        return value


def _read_carefully(text: bytes | memoryview) -> JobRequest:
    try:
        members = _RAW_MEMBERS.decode(text)
    except msgspec.ValidationError:
        return JobRequest(problems=(Problem("", "type", "expected an object with the members type and payload"),))
    read = _Reader(members)
    read.problems += _unknown(members, _MEMBERS)
    for name in ("type", "payload"):
        if name not in members:
            read.refuse(name, "required", "this member is required")
    type_name = read.text("type")
    if type_name is not None and not 0 < len(type_name.strip()) <= len(type_name) <= MAX_TYPE_LENGTH:
        read.refuse("type", "length", f"expected 1 to {MAX_TYPE_LENGTH} characters")
        type_name = None
    payload = members.get("payload")
    if payload is not None and not _begins(payload, b"{"):
        read.refuse("payload", "type", "expected an object")
        payload = None
    priority = read.text("priority")
    if priority is not None and priority not in PRIORITY_BY_LABEL:
        read.refuse("priority", "one_of", "expected high or default")
        priority = None
    queue = read.text("queue")
    if queue is not None and not is_queue_name(queue):
        read.refuse("queue", "pattern", f"expected {QUEUE_NAME_RULE}")
        queue = None
    run_at = _read_run_at(read)
    delay_seconds = read.number("delaySeconds", 0, MAX_DELAY_SECONDS)
    if "runAt" in members and "delaySeconds" in members:
        read.refuse("delaySeconds", "conflict", "give runAt or delaySeconds, not both")
    return JobRequest(
        type=type_name,
        payload=bytes(payload) if payload is not None else None,
        priority=PRIORITY_BY_LABEL[priority] if priority is not None else None,
        queue=queue,
        run_at=run_at,
        delay_seconds=delay_seconds,
        max_attempts=read.number("maxAttempts", 1, MAX_ATTEMPTS_LIMIT, whole=True),
        timeout_seconds=read.number("timeoutSeconds", 0.001, MAX_TIMEOUT_SECONDS),
        problems=tuple(read.problems),
    )


_MEMBERS = frozenset({"type", "payload", "priority", "queue", "runAt", "delaySeconds", "maxAttempts", "timeoutSeconds"})


def _read_run_at(read: _Reader) -> datetime | None:
    text = read.text("runAt")
    if text is None:
        return None
    moment: datetime | None = None
    if _RFC3339.fullmatch(text):
        try:
            moment = msgspec.convert(text, datetime).astimezone(UTC)
        except (msgspec.ValidationError, OverflowError, ValueError):
            moment = None
    if moment is None:
        read.refuse("runAt", "date_time", "expected an RFC 3339 time with a zone, as in 2030-01-31T09:00:00Z")
    return moment


class JobDraft(msgspec.Struct, frozen=True):
    """One job to submit. ``payload``: its type's model, anything that is a JSON object, or its text as ``msgspec.Raw``.

    ``run_at`` is aware; ``delay_seconds`` and ``timeout_seconds`` are seconds; ``None`` leaves it to the job's type.
    """

    type: str
    payload: object
    priority: str = "default"
    queue: str | None = None
    run_at: datetime | None = None
    delay_seconds: float | None = None
    max_attempts: int | None = None
    timeout_seconds: float | None = None


_NAMES = {
    "type": "type",
    "payload": "payload",
    "priority": "priority",
    "queue": "queue",
    "run_at": "runAt",
    "delay_seconds": "delaySeconds",
    "max_attempts": "maxAttempts",
    "timeout_seconds": "timeoutSeconds",
}
_MAX_DRAFT_BYTES = 1 << 30


def write_submission(draft: JobDraft) -> bytes:
    """The body of ``POST /jobs``. Raises ``InvalidInput`` for what is no JSON; the rest is for its reader to judge."""
    problems: list[Problem] = []
    body = _draft_text(draft, problems)
    if problems:
        raise InvalidInput(problems)
    return body


def write_batch(drafts: Iterable[JobDraft]) -> bytes:
    """The body of ``POST /jobs/batch``. Raises ``InvalidInput`` with pointers as in ``/jobs/3/payload``."""
    problems: list[Problem] = []
    texts: list[bytes] = []
    for index, draft in enumerate(drafts):
        found: list[Problem] = []
        texts.append(_draft_text(draft, found))
        problems += [Problem(f"/jobs/{index}{p.pointer}", p.code, p.detail) for p in found]
    if problems:
        raise InvalidInput(problems[:MAX_REPORTED_PROBLEMS])
    return b'{"jobs":[' + b",".join(texts) + b"]}"


def _draft_text(draft: JobDraft, problems: list[Problem]) -> bytes:
    members: dict[str, msgspec.Raw] = {}
    for field, name in _NAMES.items():
        value = getattr(draft, field)
        if value is None and name != "payload":
            continue
        if name == "runAt":
            if not isinstance(value, datetime) or value.tzinfo is None:
                problems.append(Problem(pointer(name), "date_time", "expected a datetime with a zone"))
                continue
            value = time_text(value)
        if isinstance(value, msgspec.Raw):
            members[name] = value
            continue
        try:
            members[name] = msgspec.Raw(to_storable(value, max_bytes=_MAX_DRAFT_BYTES))
        except Unstorable as error:
            problems.append(Problem(pointer(name), "not_storable", str(error)))
    return msgspec.json.encode(members)


def time_text(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds, as in ``2030-01-31T09:00:00.000Z``."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _raw(text: bytes | None) -> msgspec.Raw | None:
    return msgspec.Raw(text) if text is not None else None


def job_members(job: StoredJob) -> dict[str, Any]:
    """The members of ``GET /jobs/{id}``, ready for ``msgspec.json.encode``; stored JSON passes through as it is."""
    members: dict[str, Any] = {
        "id": job.id,
        "type": job.type,
        "queue": job.queue,
        "priority": job.priority.label,
        "status": job.status.value,
        "attempts": job.attempt,
        "failures": job.failures,
        "crashes": job.crashes,
        "maxAttempts": job.max_attempts,
        "timeoutSeconds": job.timeout_seconds,
        "result": _raw(job.result),
        "error": job.error,
        "errors": _raw(job.errors),
        "progress": _raw(job.progress),
        "cancelRequested": job.cancel_requested,
        "createdAt": time_text(job.created_at),
        "updatedAt": time_text(job.updated_at),
        "runAt": time_text(job.run_at),
        "startedAt": time_text(job.started_at),
        "finishedAt": time_text(job.finished_at),
        "erasedAt": time_text(job.erased_at),
        "worker": job.worker_id,
        "artifacts": _raw(job.artifacts),
    }
    if job.payload is not None:
        members["payload"] = _raw(job.payload)
    return members


def jobs_page(jobs: Sequence[StoredJob], next_cursor: str | None) -> bytes:
    """``{"jobs": [...], "nextCursor": ...}``."""
    return msgspec.json.encode({"jobs": [job_members(job) for job in jobs], "nextCursor": next_cursor})
