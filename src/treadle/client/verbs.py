"""The rules: what to ask for each verb, when to ask again, and what to make of the answers. Sends and waits nothing."""

from __future__ import annotations

import itertools
import os
import random
import re
import secrets
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from treadle.client.judge import error_of, member, read, retry_after_seconds
from treadle.client.records import JobRecord, JobsPage
from treadle.client.talk import Answer, Ask, NoAnswer, Pause, Talk
from treadle.errors import (
    Conflict,
    InvalidInput,
    KeyInFlight,
    NotFinished,
    NotFound,
    Problem,
    TreadleError,
    Unavailable,
    UnexpectedAnswer,
)
from treadle.ids import parse_job_id
from treadle.retry import Backoff
from treadle.states import Status
from treadle.wire import JobDraft, write_batch, write_submission

MAX_WAIT_SECONDS = 60.0
"""The longest that one request may ask the server to wait."""
POLL_SECONDS = 25.0
"""How long each request of ``wait`` waits: below the half minute at which many proxies cut a silent connection."""

_BACKOFF = Backoff(base_seconds=0.2, cap_seconds=5.0)
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_JSON = {"Content-Type": "application/json"}


class Verbs:
    """Makes the talks of one client."""

    def __init__(self, retry_seconds: float, clock: Callable[[], float]) -> None:
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._chance = random.SystemRandom()

    def submit(self, draft: JobDraft, key: str | None) -> Talk[str]:
        """``POST /jobs``: the id."""
        job_id = yield from self._submit("/jobs", write_submission(draft), key, "jobId")
        return str(job_id)

    def submit_many(self, drafts: Iterable[JobDraft], key: str | None) -> Talk[list[str]]:
        """``POST /jobs/batch``: the ids in order."""
        ids = yield from self._submit("/jobs/batch", write_batch(drafts), key, "jobIds")
        if not isinstance(ids, list):
            raise UnexpectedAnswer("the server's answer has no list of ids")
        return [str(job_id) for job_id in ids]

    def get(self, job_id: str, *, payload: bool = False, wait_seconds: float = 0.0) -> Talk[JobRecord]:
        """``GET /jobs/{id}``."""
        if not 0 <= wait_seconds <= MAX_WAIT_SECONDS:
            raise InvalidInput([Problem("/wait", "range", f"expected 0 to {MAX_WAIT_SECONDS:g} seconds")])
        return (yield from self._get(job_id, payload, wait_seconds, self._retry_seconds))

    def wait(self, job_id: str, timeout_seconds: float | None) -> Talk[JobRecord]:
        """``GET /jobs/{id}?wait=`` until the job is final."""
        if timeout_seconds is not None and not timeout_seconds >= 0:
            raise InvalidInput([Problem("/timeout_seconds", "range", "expected no negative number of seconds")])
        ends_at = None if timeout_seconds is None else self._clock() + timeout_seconds
        while True:
            left_seconds = POLL_SECONDS if ends_at is None else max(0.0, ends_at - self._clock())
            retry_seconds = self._retry_seconds if ends_at is None else min(self._retry_seconds, left_seconds)
            job = yield from self._get(job_id, False, min(left_seconds, POLL_SECONDS), retry_seconds)
            if job.is_final:
                return job
            if ends_at is not None and self._clock() >= ends_at:
                raise NotFinished(f"the job is {job.status} after {timeout_seconds:g} seconds")

    def result(self, job_id: str) -> Talk[bytes]:
        """``GET /jobs/{id}/result``: the file's bytes."""
        answer = yield from self._exchange(Ask("GET", f"{_path(job_id)}/result"))
        return answer.body

    def save_result(self, job_id: str, path: str | os.PathLike[str]) -> Talk[int]:
        """``GET /jobs/{id}/result`` into a file, which is there whole or not at all; its size in bytes."""
        address = f"{_path(job_id)}/result"
        with _file_at(Path(path)) as file:
            yield from self._exchange(Ask("GET", address, sink=file))
            return file.tell()

    def cancel(self, job_id: str) -> Talk[Status]:
        """``POST /jobs/{id}/cancel``."""
        sendings, told = yield from self._try(Ask("POST", f"{_path(job_id)}/cancel"), self._retry_seconds)
        if isinstance(told, Conflict) and sendings > 1:
            # Perhaps refused for what an earlier sending did, whose answer was lost.
            job = yield from self.get(job_id)
            if job.status is Status.CANCELLED:
                return job.status
        return _status(_success(told))

    def list_jobs(
        self,
        status: str | None,
        type: str | None,
        queue: str | None,
        priority: str | None,
        limit: int,
        cursor: str | None,
    ) -> Talk[JobsPage]:
        """``GET /admin/jobs``."""
        given = {"status": status, "type": type, "queue": queue, "priority": priority, "cursor": cursor}
        query = {name: value for name, value in given.items() if value is not None}
        ask = Ask("GET", "/admin/jobs", {**query, "limit": str(limit)}, is_admin=True)
        answer = yield from self._exchange(ask)
        return read(answer, JobsPage)

    def inspect(self, job_id: str) -> Talk[JobRecord]:
        """``GET /admin/jobs/{id}``, with the payload."""
        answer = yield from self._exchange(Ask("GET", f"/admin{_path(job_id)}", is_admin=True))
        return read(answer, JobRecord)

    def operate(self, job_id: str, verb: str) -> Talk[Status]:
        """``POST /admin/jobs/{id}/{verb}``."""
        # Not repeatable: sent twice after a lost answer, the second would be told 409 for what the first did.
        ask = Ask("POST", f"/admin{_path(job_id)}/{verb}", is_admin=True, is_repeatable=False)
        answer = yield from self._exchange(ask)
        return _status(answer)

    def delete(self, job_id: str, *, files: bool) -> Talk[int]:
        """``POST /admin/jobs/{id}/delete``: how many files went."""
        query = {"files": "true"} if files else {}
        ask = Ask("POST", f"/admin{_path(job_id)}/delete", query, is_admin=True, is_repeatable=False)
        answer = yield from self._exchange(ask)
        return int(member(answer, "filesRemoved"))

    def _submit(self, path: str, body: bytes, key: str | None, name: str) -> Talk[object]:
        # One key for all sendings of this submission: whichever of them arrived first made the jobs.
        headers = {**_JSON, "Idempotency-Key": uuid.uuid4().hex if key is None else _checked_key(key)}
        answer = yield from self._exchange(Ask("POST", path, headers=headers, body=body))
        return member(answer, name)

    def _get(self, job_id: str, payload: bool, wait_seconds: float, retry_seconds: float) -> Talk[JobRecord]:
        query = {"include": "payload"} if payload else {}
        if wait_seconds > 0:
            query["wait"] = f"{wait_seconds:.3f}"
        ask = Ask("GET", _path(job_id), query, patience_seconds=wait_seconds)
        answer = yield from self._exchange(ask, retry_seconds)
        return read(answer, JobRecord)

    def _exchange(self, ask: Ask, retry_seconds: float | None = None) -> Talk[Answer]:
        """The answer of a success. Raises what anything else means, when asking again is wrong or took too long."""
        _, told = yield from self._try(ask, self._retry_seconds if retry_seconds is None else retry_seconds)
        return _success(told)

    def _try(self, ask: Ask, retry_seconds: float) -> Talk[tuple[int, Answer | TreadleError]]:
        """How often ``ask`` was sent, and what came of it in the end."""
        ends_at = self._clock() + retry_seconds
        for sendings in itertools.count(1):
            reply = yield ask
            assert reply is not None  # noqa: S101  (an Ask is always replied to)
            error = error_of(reply)
            if error is None:
                assert isinstance(reply, Answer)  # noqa: S101  (no answer is an error)
                return sendings, reply
            pause_seconds = max(float(retry_after_seconds(reply)), _BACKOFF.delay_seconds(sendings, self._chance))
            if not _may_repeat(ask, reply, error) or self._clock() + pause_seconds > ends_at:
                return sendings, error
            yield Pause(pause_seconds)
        raise AssertionError  # the count never ends


def _may_repeat(ask: Ask, reply: Answer | NoAnswer, error: TreadleError) -> bool:
    """Whether asking again may help, and can do no harm."""
    if isinstance(reply, NoAnswer) and not reply.was_sent:
        return True
    return ask.is_repeatable and isinstance(error, Unavailable | KeyInFlight)


def _success(told: Answer | TreadleError) -> Answer:
    if isinstance(told, TreadleError):
        raise told
    return told


def _path(job_id: str) -> str:
    """Raises ``NotFound``: what is no id belongs to no job, and must not become part of an address."""
    parsed = parse_job_id(job_id) if isinstance(job_id, str) else None
    if parsed is None:
        raise NotFound("no job has this id")
    return f"/jobs/{parsed}"


def _status(answer: Answer) -> Status:
    try:
        return Status(member(answer, "status"))
    except ValueError:
        raise UnexpectedAnswer("the server's answer names a status that Treadle does not have") from None


def _checked_key(key: str) -> str:
    if not (isinstance(key, str) and _KEY.fullmatch(key)):
        words = "expected 1 to 255 printable ASCII characters"
        raise InvalidInput([Problem("/idempotency_key", "idempotency_key", words)])
    return key


@contextmanager
def _file_at(path: Path) -> Iterator[BinaryIO]:
    """A file that takes its name when the block ends without an exception. Raises ``OSError``."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
        temporary.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
