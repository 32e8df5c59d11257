"""``Treadle``: the Python door. A user's code registers job types on it and submits jobs through it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from treadle.assemble import load_apps, open_runtime, registry_of
from treadle.environment import read_environment
from treadle.errors import InvalidInput, Problem, Unstorable
from treadle.fingerprint import fingerprint
from treadle.ids import new_job_id
from treadle.jobtype import JobType, Registry
from treadle.jsontext import to_storable
from treadle.queue import Priority
from treadle.service.submit import ClientKey, Submitted, Submitter
from treadle.settings import parse_settings
from treadle.transaction import Call, after_commit, submit_within, submit_within_blocking
from treadle.wire import read_submission, time_text


@dataclass(slots=True)
class _Door:
    submitter: Submitter
    loop: asyncio.AbstractEventLoop


class Treadle(Registry):
    """An application: its job types, and a way to submit jobs of them."""

    def __init__(self) -> None:
        super().__init__()
        self._door: _Door | None = None
        self._own = AsyncExitStack()
        self._opening = asyncio.Lock()
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
        process; elsewhere the first call opens the store that the environment names (close it with ``aclose``).
        Raises ``InvalidInput`` with every problem, ``Conflict`` for a key used with another body, ``Overloaded``,
        ``Unavailable``.
        """
        members = {
            "type": type,
            "payload": msgspec.Raw(_payload_text(payload)),
            "priority": priority,
            "queue": queue,
            "runAt": time_text(run_at),
            "delaySeconds": delay_seconds,
            "maxAttempts": max_attempts,
            "timeoutSeconds": timeout_seconds,
        }
        if connection is not None:
            call = self._call(members, idempotency_key)
            await submit_within(connection, call)
            self._announce_after_commit(connection, call)
            return call.id
        # Through the same reader as HTTP: one set of rules, one set of messages.
        body = _body(members)
        request = read_submission(body)
        key = None if idempotency_key is None else ClientKey("python", idempotency_key, fingerprint(body))
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
        members = {
            "type": type,
            "payload": msgspec.Raw(_payload_text(payload)),
            "priority": priority,
            "queue": queue,
            "runAt": time_text(run_at),
            "delaySeconds": delay_seconds,
            "maxAttempts": max_attempts,
            "timeoutSeconds": timeout_seconds,
        }
        call = self._call(members, None)
        submit_within_blocking(connection, call)
        self._announce_after_commit(connection, call)
        return call.id

    def bind(self, submitter: Submitter) -> None:
        """Let this process's server carry the submissions; called by it on its own loop."""
        self._door = _Door(submitter, asyncio.get_running_loop())

    async def aclose(self) -> None:
        """Close the store that ``submit`` opened, if it did."""
        await self._own.aclose()
        self._door = None

    async def __aenter__(self) -> Treadle:
        await self._opened()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _call(self, members: Mapping[str, Any], idempotency_key: str | None) -> Call:
        """The call of ``treadle_submit`` for a job, checked as far as it can be without the database.

        A type of another process is left to the database. Raises ``InvalidInput``.
        """
        request = read_submission(_body(members))
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
            priority=str(members["priority"]),
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
        if door is None or door.loop.is_closed() or jobtype is None or not is_ready:
            return
        queue, priority = call.queue or jobtype.queue, Priority[call.priority.upper()]

        def announce() -> None:
            door.loop.call_soon_threadsafe(door.submitter.announce, queue, priority, call.id)

        after_commit(connection, announce)

    async def _opened(self) -> _Door:
        async with self._opening:  # first submissions that come together share one store
            return await self._opened_once()

    async def _opened_once(self) -> _Door:
        if self._door is None or self._door.loop.is_closed():
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


def _payload_text(payload: object) -> bytes:
    try:
        return to_storable(payload, max_bytes=1 << 30)
    except Unstorable as error:
        raise InvalidInput([Problem("/payload", "not_storable", str(error))]) from None


def _body(members: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({name: value for name, value in members.items() if value is not None})


async def _on(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any]) -> Any:
    """Run ``work`` on the server's loop: handlers live on another one."""
    if asyncio.get_running_loop() is loop:
        return await work
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))
