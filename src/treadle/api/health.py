"""``/health`` and ``/live``: whether this process can do its work, and whether it runs at all."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from treadle.api.jobs import json_response
from treadle.errors import TreadleError
from treadle.service.runtime import Runtime

CHECK_SECONDS = 2.0


class HealthRoutes:
    """The endpoints."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def live(self, request: Request, scope: str) -> Response:
        """``GET /live``."""
        return json_response({"status": "ok"})

    async def health(self, request: Request, scope: str) -> Response:
        """``GET /health``: 200, or 503 with what is wrong by name."""
        checks = {"store": await self._store(), "output": await self._output()}
        is_well = set(checks.values()) == {"ok"}
        answer = {"status": "ok" if is_well else "unavailable", "checks": checks}
        return json_response(answer, 200 if is_well else 503)

    async def _store(self) -> str:
        try:
            await asyncio.wait_for(self._runtime.store.ping(), CHECK_SECONDS)
        except (TreadleError, TimeoutError):
            return "unavailable"
        return "ok"

    async def _output(self) -> str:
        try:
            await asyncio.wait_for(asyncio.to_thread(self._runtime.artifacts.prepare), CHECK_SECONDS)
        except (OSError, TimeoutError):
            return "unavailable"
        return "ok"
