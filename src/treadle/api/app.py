"""The HTTP interface: its route table, and the application made of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from treadle.api.admin import Admin
from treadle.api.front import Front
from treadle.api.health import Health
from treadle.api.jobs import Jobs
from treadle.api.jobtypes import JobTypes
from treadle.api.openapi import OpenApi
from treadle.hostname import HostNames
from treadle.service.browse import Watcher
from treadle.service.runtime import Runtime
from treadle.service.submit import Submitter
from treadle.telemetry.shared import Told
from treadle.web.doors import Door, routes_of
from treadle.web.guards import Guard, Guards
from treadle.web.metrics import MetricsPage
from treadle.web.problems import NOT_FOUND, Refused


def create_app(
    runtime: Runtime,
    submitter: Submitter,
    watcher: Watcher,
    guards: Guards,
    *,
    beside: Sequence[Route] = (),
    tell: Callable[[], Told] | None = None,
) -> Front:
    """The ASGI application over ``runtime``; it opens and closes nothing.

    ``beside``: another room's routes. ``tell``: what a scrape is answered with, where that is not this process alone.
    """
    routes = [*routes_of(doors(runtime, submitter, watcher, tell), guards), *beside]
    return _fronted(routes, runtime, runtime.settings.host)


def create_metrics_app(runtime: Runtime, guards: Guards) -> Front:
    """What a process without the API listens with where it is told to (``TREADLE_METRICS_PORT``)."""
    doors = (
        Door("GET", "/metrics", Guard.METRICS, MetricsPage(runtime).get),
        Door("GET", "/live", Guard.PUBLIC, Health(runtime).live),
    )
    return _fronted(routes_of(doors, guards), runtime, runtime.settings.metrics_host)


def _fronted(routes: Sequence[Route], runtime: Runtime, host: str) -> Front:
    return Front(_Routing(routes), HostNames(host, runtime.settings.allowed_hosts), runtime.metrics)


def doors(
    runtime: Runtime, submitter: Submitter, watcher: Watcher, tell: Callable[[], Told] | None = None
) -> Sequence[Door]:
    """The route table; the first row that fits is taken."""
    jobs = Jobs(runtime, submitter, watcher)
    admin = Admin(runtime)
    health = Health(runtime)
    openapi = OpenApi(runtime, lambda: table)
    table = (
        Door("POST", "/jobs", Guard.KEY, jobs.submit),
        Door("POST", "/jobs/batch", Guard.KEY, jobs.submit_batch),
        Door("GET", "/jobs/{job_id}", Guard.KEY, jobs.get),
        Door("GET", "/jobs/{job_id}/result", Guard.KEY, jobs.file),
        Door("POST", "/jobs/{job_id}/cancel", Guard.KEY, jobs.cancel),
        Door("GET", "/types", Guard.KEY, JobTypes(runtime).list_types),
        Door("GET", "/openapi.json", Guard.KEY, openapi.document),
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
        Door("GET", "/metrics", Guard.METRICS, MetricsPage(runtime, tell).get),
    )
    return table


class _Routing:
    """A path without parameters is looked up; only for the others the routes are gone through, one after another."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._router = Router(routes, redirect_slashes=False, default=_nowhere)
        self._fixed: dict[str, ASGIApp] = {}
        for route in routes:
            if next(one for one in routes if one.path_regex.match(route.path)) is route and "{" not in route.path:
                self._fixed[route.path] = route.app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self._fixed.get(scope["path"], self._router)(scope, receive, send)


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    raise Refused(NOT_FOUND, "nothing is here")
