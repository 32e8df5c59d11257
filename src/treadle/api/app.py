"""The route table, and what is true of every answer."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from treadle.api.admin import AdminRoutes
from treadle.api.guards import Guard, Guards
from treadle.api.health import HealthRoutes
from treadle.api.jobs import JobRoutes
from treadle.api.problems import METHOD_NOT_ALLOWED, MISDIRECTED, NOT_FOUND, HttpProblem, answer_to, internal
from treadle.api.result import ResultRoute
from treadle.errors import TreadleError
from treadle.service.browse import Watcher
from treadle.service.runtime import Runtime
from treadle.service.submit import Submitter

logger = logging.getLogger("treadle.api")

Endpoint = Callable[[Request, str], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Door:
    """One route. A route without a guard cannot be written."""

    method: str
    path: str
    guard: Guard
    endpoint: Endpoint


def doors(runtime: Runtime, submitter: Submitter, watcher: Watcher) -> tuple[Door, ...]:
    """Every route there is."""
    jobs, admin, health = JobRoutes(runtime, submitter, watcher), AdminRoutes(runtime), HealthRoutes(runtime)
    result = ResultRoute(runtime)
    return (
        Door("GET", "/live", Guard.PUBLIC, health.live),
        Door("GET", "/health", Guard.PUBLIC, health.health),
        Door("POST", "/jobs", Guard.KEY, jobs.submit),
        Door("POST", "/jobs/batch", Guard.KEY, jobs.submit_batch),
        Door("GET", "/jobs/{job_id}", Guard.KEY, jobs.get),
        Door("GET", "/jobs/{job_id}/result", Guard.KEY, result.get),
        Door("POST", "/jobs/{job_id}/cancel", Guard.KEY, jobs.cancel),
        Door("GET", "/admin/jobs", Guard.ADMIN, admin.jobs),
        Door("GET", "/admin/failed", Guard.ADMIN, admin.failed),
        Door("GET", "/admin/dlq", Guard.ADMIN, admin.dlq),
        Door("GET", "/admin/stats", Guard.ADMIN, admin.stats),
        Door("GET", "/admin/workers", Guard.ADMIN, admin.workers),
        Door("GET", "/admin/queues", Guard.ADMIN, admin.queues),
        Door("GET", "/admin/jobs/{job_id}", Guard.ADMIN, admin.job),
        Door("POST", "/admin/jobs/{job_id}/retry", Guard.ADMIN, admin.retry),
        Door("POST", "/admin/jobs/{job_id}/dlq", Guard.ADMIN, admin.bury),
        Door("POST", "/admin/jobs/{job_id}/cancel", Guard.ADMIN, admin.cancel),
        Door("POST", "/admin/queues/{name}/pause", Guard.ADMIN, admin.pause),
        Door("POST", "/admin/queues/{name}/resume", Guard.ADMIN, admin.resume),
    )


def create_app(runtime: Runtime, submitter: Submitter, watcher: Watcher) -> ASGIApp:
    """The ASGI application of one process."""
    guards = Guards(runtime.settings, runtime.clock.rising)
    by_path: dict[str, dict[str, Door]] = {}
    for door in doors(runtime, submitter, watcher):
        by_path.setdefault(door.path, {})[door.method] = door
    routes = [Route(path, _Resource(methods, guards)) for path, methods in by_path.items()]
    router = Router(routes, redirect_slashes=False, default=_no_route)
    return _Envelope(router, only_loopback=runtime.settings.is_loopback)


class _Resource:
    """All methods of one path: finds the door, asks its guard, calls its endpoint."""

    def __init__(self, methods: Mapping[str, Door], guards: Guards) -> None:
        self._methods = dict(methods)
        if "GET" in self._methods:
            self._methods["HEAD"] = self._methods["GET"]
        self._guards = guards

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        door = self._methods.get(request.method)
        if door is None:
            raise HttpProblem(METHOD_NOT_ALLOWED, "not this method", {"Allow": ", ".join(sorted(self._methods))})
        caller = self._guards.check(door.guard, request)
        answer = await door.endpoint(request, caller)
        await answer(scope, receive, send)


async def _no_route(scope: Scope, receive: Receive, send: Send) -> None:
    raise HttpProblem(NOT_FOUND, "nothing is here")


_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_LOOPBACK_HOST = re.compile(rb"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]


class _Envelope:
    """Around everything: request id, host check, headers of every answer, and errors as problems."""

    def __init__(self, app: ASGIApp, *, only_loopback: bool) -> None:
        self._app = app
        self._only_loopback = only_loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        given = dict(scope["headers"])
        request_id = given.get(b"x-request-id", b"")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = secrets.token_hex(8).encode()
        is_begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal is_begun
            if message["type"] == "http.response.start":
                is_begun = True
                headers = [*message["headers"], *_HEADERS, (b"x-request-id", request_id)]
                message = {**message, "headers": headers}
            await send(message)

        answer: Response | None
        try:
            # A page of another site may have its name point here: a browser's Host then gives it away.
            if self._only_loopback and not _LOOPBACK_HOST.fullmatch(given.get(b"host", b"")):
                raise HttpProblem(MISDIRECTED, "this server answers to localhost and loopback addresses only")
            await self._app(scope, receive, send_with_headers)
            return
        except ClientDisconnect:
            return
        except (TreadleError, HttpProblem) as error:
            answer = answer_to(error, request_id.decode())
            if answer is None:
                logger.exception("request %s", request_id.decode())
        except Exception:
            logger.exception("request %s", request_id.decode())
            answer = None
        if not is_begun:
            await (answer or internal(request_id.decode()))(scope, receive, send_with_headers)
