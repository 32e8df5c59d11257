"""``AsyncClient``: ``Client`` for asyncio. Every method does and raises what the method of that name there does."""

from __future__ import annotations

import asyncio
import os
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


class AsyncClient:
    """One Treadle server over HTTP, for one event loop; see ``Client`` for what it is given and what it raises."""

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
        self._http = httpx.AsyncClient()

    async def submit(  # noqa: PLR0913  (as Treadle.submit: one name each of what a job may be given)
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
        """See ``Client.submit``."""
        draft = JobDraft(type, payload, priority, queue, run_at, delay_seconds, max_attempts, timeout_seconds)
        return await self._run(self._verbs.submit(draft, idempotency_key))

    async def submit_many(self, jobs: Iterable[JobDraft], *, idempotency_key: str | None = None) -> list[str]:
        """See ``Client.submit_many``."""
        return await self._run(self._verbs.submit_many(jobs, idempotency_key))

    async def get(self, job_id: str, *, payload: bool = False, wait_seconds: float = 0.0) -> JobRecord:
        """See ``Client.get``."""
        return await self._run(self._verbs.get(job_id, payload=payload, wait_seconds=wait_seconds))

    async def wait(self, job_id: str, timeout_seconds: float | None = None) -> JobRecord:
        """See ``Client.wait``."""
        return await self._run(self._verbs.wait(job_id, timeout_seconds))

    async def result(self, job_id: str) -> bytes:
        """See ``Client.result``."""
        return await self._run(self._verbs.result(job_id))

    async def save_result(self, job_id: str, path: str | os.PathLike[str]) -> int:
        """See ``Client.save_result``."""
        return await self._run(self._verbs.save_result(job_id, path))

    async def cancel(self, job_id: str) -> Status:
        """See ``Client.cancel``."""
        return await self._run(self._verbs.cancel(job_id))

    async def list_jobs(
        self,
        *,
        status: str | None = None,
        type: str | None = None,
        queue: str | None = None,
        priority: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> JobsPage:
        """See ``Client.list_jobs``."""
        return await self._run(self._verbs.list_jobs(status, type, queue, priority, limit, cursor))

    async def inspect(self, job_id: str) -> JobRecord:
        """See ``Client.inspect``."""
        return await self._run(self._verbs.inspect(job_id))

    async def retry(self, job_id: str) -> Status:
        """See ``Client.retry``."""
        return await self._run(self._verbs.operate(job_id, "retry"))

    async def bury(self, job_id: str) -> Status:
        """See ``Client.bury``."""
        return await self._run(self._verbs.operate(job_id, "dlq"))

    async def delete(self, job_id: str, *, files: bool = False) -> int:
        """See ``Client.delete``."""
        return await self._run(self._verbs.delete(job_id, files=files))

    async def erase(self, job_id: str) -> Status:
        """See ``Client.erase``."""
        return await self._run(self._verbs.operate(job_id, "erase"))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _run(self, talk: Talk[Result]) -> Result:
        reply: Answer | NoAnswer | None = None
        try:
            while True:
                step = talk.send(reply)
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    reply = None
                else:
                    reply = await self._send(step)
        except StopIteration as returned:
            result: Result = returned.value
            return result
        finally:
            talk.close()

    async def _send(self, ask: Ask) -> Answer | NoAnswer:
        try:
            async with self._http.stream(**self._address.arguments(ask)) as response:
                body = b""
                if ask.sink is None or response.status_code != 200:
                    body = await response.aread()
                else:
                    ask.sink.seek(0)
                    ask.sink.truncate()
                    async for chunk in response.aiter_bytes():
                        await asyncio.to_thread(ask.sink.write, chunk)
                return Answer(response.status_code, response.headers, body)
        except httpx.TransportError as error:
            return no_answer(error)
