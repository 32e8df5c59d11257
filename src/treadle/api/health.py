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

_DISPENSABLE = frozenset({"hints"})
"""Without these jobs are accepted and done all the same, only later."""


class Health:
    """The endpoints ``/live`` and ``/health``."""

    def __init__(self, runtime: Runtime) -> None:
        self._checks = {
            "store": _Check("store", lambda: runtime.store.ping()),
            "output": _Check("output", lambda: asyncio.to_thread(runtime.artifacts.prepare)),
            # The runtime's members are read at each look: they may be replaced.
            "hints": _Check("hints", lambda: runtime.dispatch.check()),
        }

    async def live(self, request: Request) -> Response:
        """``GET /live``: the process answers."""
        return json_response({"status": "ok"})

    async def health(self, request: Request) -> Response:
        """``GET /health``: 200 when the process can do its work, 503 with the checks by name when it cannot."""
        found = await asyncio.gather(*(check.passes() for check in self._checks.values()))
        passed = dict(zip(self._checks, found, strict=True))
        works = all(passed[name] for name in passed if name not in _DISPENSABLE)
        status = _word(works) if not works or all(found) else "degraded"
        checks = {name: _word(ok) for name, ok in passed.items()}
        return json_response({"status": status, "checks": checks}, 200 if works else 503)


def _word(ok: bool) -> str:
    return "ok" if ok else "unavailable"


class _Check:
    """One look at a time, shared by all who ask: anybody may ask, a look writes, and one that hangs holds a thread."""

    def __init__(self, name: str, look: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._look = look
        self._task: asyncio.Task[bool] | None = None
        self._passed = True

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
            if self._passed:  # said once an outage, not once for everybody who asks
                logger.warning("health: %s is unavailable (%s)", self._name, type(error).__name__)
            self._passed = False
        else:
            self._passed = True
        return self._passed
