"""``Client``: for code that waits in its own thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from datetime import datetime

import httpx

from treadle.client.address import DEFAULT_RETRY_SECONDS, DEFAULT_TIMEOUT_SECONDS, DEFAULT_URL, Address, no_answer
from treadle.client.records import JobRecord, JobsPage
from treadle.client.talk import Answer, Ask, NoAnswer, Pause, Result, Talk
from treadle.client.verbs import Verbs
from treadle.clock import rising_seconds
from treadle.states import Status
from treadle.wire import JobDraft


class Client:
    """One Treadle server over HTTP. May be shared by threads; keeps its connections until ``close``.

    ``url``: where it is; ``key``: an API key, sent as Bearer; ``admin``: user and password, for methods that say so.
    ``timeout_seconds``: for one request. ``retry_seconds``: how long after a call's first request another may be
    begun, where there was no connection, no answer, or a 503; Retry-After is honoured as far as it fits, 0 is never.

    Every method may raise ``Unavailable`` (gave up), ``Unauthorized``, ``InvalidInput`` with all problems, and
    ``UnexpectedAnswer`` (a bug in the server, or no Treadle there).
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        key: str | None = None,
        admin: tuple[str, str] | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        retry_seconds: float = DEFAULT_RETRY_SECONDS,
    ) -> None:
        self._address = Address(url, key, admin, timeout_seconds)
        self._verbs = Verbs(retry_seconds, rising_seconds)
        self._http = httpx.Client()

    def submit(  # noqa: PLR0913  (as Treadle.submit: one name each of what a job may be given)
        self,
        type: str,
        payload: object,
        *,
        priority: str = "default",
        queue: str | None = None,
        run_at: datetime | None = None,
        delay_seconds: float | None = None,
        max_attempts: int | None = None,
        timeout_seconds: float | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        """Submit one job and return its id; it is committed and flushed when this returns.

        ``payload``: the type's model, or anything that is a JSON object. All sendings go under one idempotency key,
        the client's own where none is given, so that a retry makes no second job. Raises ``KeyReused`` for a key
        used with another body.
        """
        draft = JobDraft(type, payload, priority, queue, run_at, delay_seconds, max_attempts, timeout_seconds)
        return self._run(self._verbs.submit(draft, idempotency_key))

    def submit_many(self, jobs: Iterable[JobDraft], *, idempotency_key: str | None = None) -> list[str]:
        """Submit 1 to 10,000 jobs, all or none, and return their ids in order; else as ``submit``."""
        return self._run(self._verbs.submit_many(jobs, idempotency_key))

    def get(self, job_id: str, *, payload: bool = False, wait_seconds: float = 0.0) -> JobRecord:
        """The job as it stands; with ``wait_seconds`` (0 to 60) as it stands when it is final or the time is up.

        Raises ``NotFound``.
        """
        return self._run(self._verbs.get(job_id, payload=payload, wait_seconds=wait_seconds))

    def wait(self, job_id: str, timeout_seconds: float | None = None) -> JobRecord:
        """The job once it is final. Raises ``NotFinished``, a ``TimeoutError``, when the time is up; ``NotFound``."""
        return self._run(self._verbs.wait(job_id, timeout_seconds))

    def result(self, job_id: str) -> bytes:
        """The job's file, all of it in memory. Raises ``NotFound`` (none, or no longer), ``Conflict`` (not final)."""
        return self._run(self._verbs.result(job_id))

    def save_result(self, job_id: str, path: str | os.PathLike[str]) -> int:
        """Stream the job's file to ``path``, where it appears whole or not at all; its size in bytes.

        What stood there is replaced. Raises as ``result``, and ``OSError``.
        """
        return self._run(self._verbs.save_result(job_id, path))

    def cancel(self, job_id: str) -> Status:
        """``cancelled``, or ``processing`` where the job runs and was asked to stop.

        Raises ``NotFound``, ``Conflict`` (it is final).
        """
        return self._run(self._verbs.cancel(job_id))

    def list_jobs(
        self,
        *,
        status: str | None = None,
        type: str | None = None,
        queue: str | None = None,
        priority: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> JobsPage:
        """Jobs newest first, at most ``limit`` (1 to 200), on below ``cursor``. Needs the admin login."""
        return self._run(self._verbs.list_jobs(status, type, queue, priority, limit, cursor))

    def inspect(self, job_id: str) -> JobRecord:
        """The job with its payload. Needs the admin login. Raises ``NotFound``."""
        return self._run(self._verbs.inspect(job_id))

    def retry(self, job_id: str) -> Status:
        """Give a failed, dead or cancelled job a new life. Needs the admin login. Raises ``NotFound``, ``Conflict``."""
        return self._run(self._verbs.operate(job_id, "retry"))

    def bury(self, job_id: str) -> Status:
        """Put a failed or retrying job into the dead-letter queue. Needs the admin login. Raises as ``retry``."""
        return self._run(self._verbs.operate(job_id, "dlq"))

    def delete(self, job_id: str, *, files: bool = False) -> int:
        """Delete a final job, and with ``files`` the files of all its attempts: their number. Needs the admin login.

        Raises ``NotFound``, ``Conflict`` (it is not final).
        """
        return self._run(self._verbs.delete(job_id, files=files))

    def erase(self, job_id: str) -> Status:
        """Erase a final job's payload, result and error texts; the row stays, and cannot be retried.

        Needs the admin login. Raises as ``delete``.
        """
        return self._run(self._verbs.operate(job_id, "erase"))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, talk: Talk[Result]) -> Result:
        reply: Answer | NoAnswer | None = None
        try:
            while True:
                step = talk.send(reply)
                if isinstance(step, Pause):
                    threading.Event().wait(step.seconds)
                    reply = None
                else:
                    reply = self._send(step)
        except StopIteration as returned:
            result: Result = returned.value
            return result
        finally:
            talk.close()

    def _send(self, ask: Ask) -> Answer | NoAnswer:
        try:
            with self._http.stream(**self._address.arguments(ask)) as response:
                body = b""
                if ask.sink is None or response.status_code != 200:
                    body = response.read()
                else:
                    ask.sink.seek(0)
                    ask.sink.truncate()
                    for chunk in response.iter_bytes():
                        ask.sink.write(chunk)
                return Answer(response.status_code, response.headers, body)
        except httpx.TransportError as error:
            return no_answer(error)
