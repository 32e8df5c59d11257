"""``Treadle``: the Python door. A user's code registers job types on it and submits jobs through it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from treadle.assemble import load_apps, open_runtime, registry_of
from treadle.environment import read_environment
from treadle.fingerprint import fingerprint
from treadle.jobtype import Registry
from treadle.service.submit import ClientKey, Submitted, Submitter
from treadle.settings import parse_settings
from treadle.wire import JobDraft, read_submission, write_submission


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
    ) -> str:
        """Submit one job and return its id; it is committed and flushed when this returns.

        ``payload``: the type's model, or anything that is JSON. Inside a Treadle process it goes through that
        process; elsewhere the first call opens the store that the environment names (close it with ``aclose``).
        Raises ``InvalidInput`` with every problem, ``Conflict`` for a key used with another body, ``Overloaded``,
        ``Unavailable``.
        """
        draft = JobDraft(type, payload, priority, queue, run_at, delay_seconds, max_attempts, timeout_seconds)
        # Through the same reader as HTTP: one set of rules, one set of messages.
        body = write_submission(draft)
        request = read_submission(body)
        key = None if idempotency_key is None else ClientKey("python", idempotency_key, fingerprint(body))
        door = await self._opened()
        submitted: Submitted = await _on(door.loop, door.submitter.submit([request], key))
        return submitted.ids[0]

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


async def _on(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any]) -> Any:
    """Run ``work`` on the server's loop: handlers live on another one."""
    if asyncio.get_running_loop() is loop:
        return await work
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))
