"""Liveness and readiness; what they say names no host and no secret."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from starlette.responses import Response

from treadle.api.jobs import json_response
from treadle.service.runtime import Runtime
from treadle.web.request import Request

logger = logging.getLogger("treadle.api")

CHECK_SECONDS = 2.0


class Health:
    """The endpoints ``/live`` and ``/health``."""

    def __init__(self, runtime: Runtime) -> None:
        self._checks = {
            "store": _Check("store", lambda: runtime.store.ping()),
            "output": _Check("output", lambda: asyncio.to_thread(runtime.artifacts.prepare)),
        }

    async def live(self, request: Request) -> Response:
        """``GET /live``: the process answers."""
        return json_response({"status": "ok"})

    async def health(self, request: Request) -> Response:
        """``GET /health``: 200 when the process can do its work, 503 with the checks by name when it cannot."""
        passed = await asyncio.gather(*(check.passes() for check in self._checks.values()))
        checks = {name: _word(ok) for name, ok in zip(self._checks, passed, strict=True)}
        return json_response({"status": _word(all(passed)), "checks": checks}, 200 if all(passed) else 503)


def _word(ok: bool) -> str:
    return "ok" if ok else "unavailable"


class _Check:
    """One look at a time, shared by all who ask: anybody may ask, a look writes, and one that hangs holds a thread."""

    def __init__(self, name: str, look: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._look = look
        self._task: asyncio.Task[bool] | None = None

    async def passes(self) -> bool:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        task = self._task
        await asyncio.wait((task,), timeout=CHECK_SECONDS)
        return task.done() and task.result()

    async def _run(self) -> bool:
        try:
            await self._look()
        except Exception as error:
            logger.warning("health: %s is unavailable (%s)", self._name, type(error).__name__)
            return False
        return True
