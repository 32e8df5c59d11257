"""The HTTP interface: its route table, and the application made of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from treadle.api.admin import Admin
from treadle.api.front import REQUEST, Front
from treadle.api.guards import Guard, Guards
from treadle.api.health import Health
from treadle.api.jobs import Jobs
from treadle.api.jobtypes import JobTypes
from treadle.api.problems import METHOD_NOT_ALLOWED, NOT_FOUND, Refused
from treadle.api.request import Request
from treadle.api.result import Results
from treadle.api.throttle import Throttle
from treadle.hostname import HostNames
from treadle.service.browse import Watcher
from treadle.service.runtime import Runtime
from treadle.service.submit import Submitter

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Door:
    """One row of the route table. A door without a guard cannot be made."""

    method: str
    path: str
    guard: Guard
    handler: Handler


def create_app(runtime: Runtime, submitter: Submitter, watcher: Watcher) -> Front:
    """The ASGI application over ``runtime``; it opens and closes nothing."""
    guards = Guards(runtime.settings, Throttle(runtime.clock.rising))
    by_path: dict[str, list[Door]] = {}
    for door in doors(runtime, submitter, watcher):
        by_path.setdefault(door.path, []).append(door)
    routes = [Route(path, _Resource(same_path, guards)) for path, same_path in by_path.items()]
    router = Router(routes, redirect_slashes=False, default=_nowhere)
    return Front(router, HostNames(runtime.settings.host, runtime.settings.allowed_hosts))


def doors(runtime: Runtime, submitter: Submitter, watcher: Watcher) -> Sequence[Door]:
    """The route table; the first row that fits is taken."""
    jobs = Jobs(runtime, submitter, watcher)
    results = Results(runtime)
    admin = Admin(runtime)
    health = Health(runtime)
    return (
        Door("POST", "/jobs", Guard.KEY, jobs.submit),
        Door("POST", "/jobs/batch", Guard.KEY, jobs.submit_batch),
        Door("GET", "/jobs/{job_id}", Guard.KEY, jobs.get),
        Door("GET", "/jobs/{job_id}/result", Guard.KEY, results.get),
        Door("POST", "/jobs/{job_id}/cancel", Guard.KEY, jobs.cancel),
        Door("GET", "/types", Guard.KEY, JobTypes(runtime).list_types),
        Door("GET", "/admin/jobs", Guard.ADMIN, admin.list_jobs),
        Door("GET", "/admin/jobs/{job_id}", Guard.ADMIN, admin.get_job),
        Door("POST", "/admin/jobs/{job_id}/retry", Guard.ADMIN, admin.retry),
        Door("POST", "/admin/jobs/{job_id}/dlq", Guard.ADMIN, admin.bury),
        Door("POST", "/admin/jobs/{job_id}/cancel", Guard.ADMIN, admin.cancel),
        Door("POST", "/admin/jobs/{job_id}/delete", Guard.ADMIN, admin.delete),
        Door("POST", "/admin/jobs/{job_id}/erase", Guard.ADMIN, admin.erase),
        Door("GET", "/admin/failed", Guard.ADMIN, admin.list_failed),
        Door("GET", "/admin/dlq", Guard.ADMIN, admin.list_dead),
        Door("GET", "/admin/stats", Guard.ADMIN, admin.stats),
        Door("GET", "/admin/workers", Guard.ADMIN, admin.list_workers),
        Door("GET", "/admin/queues", Guard.ADMIN, admin.list_queues),
        Door("POST", "/admin/queues/{name}/pause", Guard.ADMIN, admin.pause),
        Door("POST", "/admin/queues/{name}/resume", Guard.ADMIN, admin.resume),
        Door("GET", "/health", Guard.PUBLIC, health.health),
        Door("GET", "/live", Guard.PUBLIC, health.live),
    )


class _Resource:
    """All doors of one path as a bare ASGI application: nothing between the guard and the handler."""

    def __init__(self, doors: Sequence[Door], guards: Guards) -> None:
        self._doors = {door.method: door for door in doors}
        if "GET" in self._doors:
            self._doors["HEAD"] = self._doors["GET"]
        self._allow = {"Allow": ", ".join(sorted(self._doors))}
        self._guards = guards

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request: Request = scope[REQUEST]
        door = self._doors.get(request.method)
        if door is None:
            raise Refused(METHOD_NOT_ALLOWED, f"here only {self._allow['Allow']}", self._allow)
        self._guards.admit(door.guard, request)
        response = await door.handler(request)
        await response(scope, receive, send)


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    raise Refused(NOT_FOUND, "nothing is here")
