"""``Treadle``: the Python door. A user's code registers job types on it and submits jobs through it."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from treadle.assemble import load_apps, open_runtime, registry_of
from treadle.environment import read_environment
from treadle.errors import InvalidInput, Problem
from treadle.fingerprint import fingerprint
from treadle.ids import new_job_id
from treadle.job import JobRequest
from treadle.jobtype import JobType, Registry
from treadle.loopthread import LoopThread
from treadle.queue import Priority
from treadle.service.submit import ClientKey, Submitted, Submitter
from treadle.settings import parse_settings
from treadle.telemetry.tracing import current_traceparent
from treadle.transaction import Call, after_commit, submit_within, submit_within_blocking
from treadle.wire import JobDraft, read_submission, write_submission


@dataclass(slots=True)
class _Door:
    submitter: Submitter
    loop: asyncio.AbstractEventLoop
    pid: int = field(default_factory=os.getpid)

    @property
    def is_open(self) -> bool:
        # A fork takes along an object that says its loop runs, and not the thread that ran it.
        return self.loop.is_running() and self.pid == os.getpid()


class Treadle(Registry):
    """An application: its job types, and a way to submit jobs of them."""

    def __init__(self) -> None:
        super().__init__()
        self._door: _Door | None = None
        self._own = AsyncExitStack()
        self._opening = threading.Lock()
        self._beside: LoopThread | None = None
        self._builtin: Registry | None = None

    async def submit(  # noqa: PLR0913  (the public form: one name each of what a job may be given)
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
        connection: Any = None,
    ) -> str:
        """Submit one job and return its id; it is committed and flushed when this returns.

        ``connection``: an asyncpg ``Connection``, psycopg ``AsyncConnection`` or SQLAlchemy ``AsyncSession`` or
        ``AsyncConnection`` to Treadle's own PostgreSQL database, in a transaction. Then nothing is committed here: the
        job exists if and only if that transaction commits. No idempotency key goes with it: the transaction is one.

        ``payload``: the type's model, or anything that is JSON. Inside a Treadle process it goes through that
        process; elsewhere the first call opens the store that the environment names, in a thread of the app's own;
        ``aclose``, ``close`` or the end of the process closes it.
        Raises ``InvalidInput`` with every problem, ``Conflict`` for a key used with another body, ``Overloaded``,
        ``Unavailable``.
        """
        draft = JobDraft(type, payload, priority, queue, run_at, delay_seconds, max_attempts, timeout_seconds)
        if connection is not None:
            call = self._call(draft, idempotency_key)
            await submit_within(connection, call)
            self._announce_after_commit(connection, call)
            return call.id
        request, key = _read(draft, idempotency_key)
        door = await self._opened()
        submitted: Submitted = await _on(door.loop, door.submitter.submit([request], key))
        return submitted.ids[0]

    def submit_within(  # noqa: PLR0913  (as ``submit``)
        self,
        connection: Any,
        type: str,
        payload: object,
        *,
        priority: str = "default",
        queue: str | None = None,
        run_at: datetime | None = None,
        delay_seconds: float | None = None,
        max_attempts: int | None = None,
        timeout_seconds: float | None = None,
    ) -> str:
        """``submit(..., connection=...)`` for blocking code.

        ``connection``: a psycopg ``Connection`` or SQLAlchemy ``Session`` or ``Connection``, in a transaction.
        """
        draft = JobDraft(type, payload, priority, queue, run_at, delay_seconds, max_attempts, timeout_seconds)
        call = self._call(draft, None)
        submit_within_blocking(connection, call)
        self._announce_after_commit(connection, call)
        return call.id

    def submit_sync(  # noqa: PLR0913  (as ``submit``)
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
        """``submit`` for code without a loop (Flask, Django, a ``def`` handler); may be called from any thread.

        Raises as ``submit``, and ``RuntimeError`` inside a coroutine: await ``submit`` there.
        """
        _refuse_loop()
        draft = JobDraft(type, payload, priority, queue, run_at, delay_seconds, max_attempts, timeout_seconds)
        request, key = _read(draft, idempotency_key)
        door = self._opened_beside()
        submitting = asyncio.run_coroutine_threadsafe(door.submitter.submit([request], key), door.loop)
        return submitting.result().ids[0]

    def bind(self, submitter: Submitter) -> None:
        """Let this process's server carry the submissions; called by it on its own loop."""
        self._door = _Door(submitter, asyncio.get_running_loop())

    def close(self) -> None:
        """Close the store that ``submit`` or ``submit_sync`` opened, if one did. Raises ``RuntimeError`` in a loop."""
        _refuse_loop()
        with self._opening:
            if self._beside is not None:
                self._beside.call(self._own.aclose())
                self._beside.stop()
                atexit.unregister(self.close)
                self._beside = self._door = None

    async def aclose(self) -> None:
        """``close`` inside a loop."""
        await asyncio.to_thread(self.close)

    async def __aenter__(self) -> Treadle:
        await self._opened()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _call(self, draft: JobDraft, idempotency_key: str | None) -> Call:
        """The call of ``treadle_submit`` for a job, checked as far as it can be without the database.

        A type of another process is left to the database. Raises ``InvalidInput``.
        """
        request = read_submission(write_submission(draft))
        problems = list(request.problems)
        if idempotency_key is not None:
            detail = "no key can go with a connection: whether the job exists is its transaction's to say"
            problems.append(Problem("/idempotencyKey", "not_with_connection", detail))
        jobtype = self._known_type(request.type)
        if jobtype is not None and request.payload is not None:
            problems += [Problem(f"/payload{p.pointer}", p.code, p.detail) for p in jobtype.check(request.payload)]
        if problems or request.type is None or request.payload is None:
            raise InvalidInput(problems)
        return Call(
            id=new_job_id(),
            type=request.type,
            payload=request.payload.decode(),
            priority=draft.priority,
            queue=request.queue,
            run_at=request.run_at,
            delay_seconds=request.delay_seconds,
            max_attempts=request.max_attempts,
            timeout_seconds=request.timeout_seconds,
        )

    def _known_type(self, name: str | None) -> JobType | None:
        if name is None:
            return None
        if name in self.names:
            return self.get(name)
        if self._builtin is None:
            settings = parse_settings(read_environment())
            self._builtin = registry_of(load_apps(msgspec.structs.replace(settings, app=None)))
        return self._builtin.get(name)

    def _announce_after_commit(self, connection: Any, call: Call) -> None:
        """Where this process serves Treadle too, and the library tells when; else the next scan finds the job."""
        door, jobtype = self._door, self._known_type(call.type)
        is_ready = call.run_at is None and not call.delay_seconds
        if door is None or not door.is_open or jobtype is None or not is_ready:
            return
        queue, priority = call.queue or jobtype.queue, Priority[call.priority.upper()]

        def announce() -> None:
            door.loop.call_soon_threadsafe(door.submitter.announce, queue, priority, call.id)

        after_commit(connection, announce)

    async def _opened(self) -> _Door:
        if self._door is not None and self._door.is_open:
            return self._door
        return await asyncio.to_thread(self._opened_beside)

    def _opened_beside(self) -> _Door:
        """The door; where there is none, one whose store lives in a thread of the app's own.

        Not on the caller's loop: that may end (``asyncio.run``) while other loops and threads still submit.
        """
        with self._opening:  # first submissions that come together share one store
            if self._beside is not None and not self._beside.is_of_this_process:
                # Forked from a process that had submitted already: its thread stayed there, and its store is not ours.
                self._beside, self._door, self._own = None, None, AsyncExitStack()
            if self._door is not None and self._door.is_open:
                return self._door
            if self._beside is None:
                self._beside = LoopThread("treadle-submit")
                atexit.register(self.close)
            return self._beside.call(self._open())

    async def _open(self) -> _Door:
        settings = parse_settings(read_environment())
        # This very object is the user's app here, whatever TREADLE_APP says.
        builtin = load_apps(msgspec.structs.replace(settings, app=None))
        registry = registry_of([*builtin, self])
        runtime = await self._own.enter_async_context(open_runtime(settings, registry, has_worker=False))
        submitter = Submitter(runtime)
        self._own.push_async_callback(submitter.aclose)
        self.bind(submitter)
        assert self._door is not None  # noqa: S101  (bound just above)
        return self._door


def _read(draft: JobDraft, idempotency_key: str | None) -> tuple[JobRequest, ClientKey | None]:
    # Through the same reader as HTTP: one set of rules, one set of messages.
    body = write_submission(draft)
    key = None if idempotency_key is None else ClientKey("python", idempotency_key, fingerprint(body))
    request = read_submission(body)
    if (traceparent := current_traceparent()) is not None:
        request = msgspec.structs.replace(request, traceparent=traceparent)
    return request, key


def _refuse_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("this would block the running event loop: await the method without _sync, or aclose, there")


async def _on(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any]) -> Any:
    """Run ``work`` on the server's loop: handlers live on another one."""
    if asyncio.get_running_loop() is loop:
        return await work
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))
