"""``/admin``: lists, counts, and what an operator may do."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from treadle.api.body import ignore_body
from treadle.api.jobs import job_id_of, json_response
from treadle.api.query import number, read_query
from treadle.errors import InvalidInput, NotFound, Problem
from treadle.ids import JobId, parse_job_id
from treadle.queue import PRIORITY_BY_LABEL, Priority, is_queue_name
from treadle.service import browse, operate, queues, workers
from treadle.service.browse import FAILED_FOR_GOOD
from treadle.service.runtime import Runtime
from treadle.states import Status
from treadle.store.protocol import COUNT_CAP, JobFilter
from treadle.wire import job_members, jobs_page, time_text

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_STATUSES = {status.value: status for status in Status}


class AdminRoutes:
    """The endpoints under ``/admin``."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def jobs(self, request: Request, scope: str) -> Response:
        """``GET /admin/jobs``."""
        query = read_query(request, ("status", "type", "queue", "priority", "limit", "cursor"))
        problems: list[Problem] = []
        status = _one_of("status", query, _STATUSES, problems)
        priority: Priority | None = _one_of("priority", query, PRIORITY_BY_LABEL, problems)
        queue = query.get("queue")
        if queue is not None and not is_queue_name(queue):
            problems.append(Problem("/queue", "pattern", "not the name of a queue"))
        if problems:
            raise InvalidInput(problems)
        wanted = JobFilter(
            statuses=(status,) if status is not None else None, type=query.get("type"), queue=queue, priority=priority
        )
        return await self._page(query, wanted)

    async def failed(self, request: Request, scope: str) -> Response:
        """``GET /admin/failed``: failed for good."""
        query = read_query(request, ("status", "limit", "cursor"))
        problems: list[Problem] = []
        status = _one_of("status", query, {s.value: s for s in FAILED_FOR_GOOD}, problems)
        if problems:
            raise InvalidInput(problems)
        return await self._page(query, JobFilter(statuses=(status,) if status is not None else FAILED_FOR_GOOD))

    async def dlq(self, request: Request, scope: str) -> Response:
        """``GET /admin/dlq``."""
        return await self._page(read_query(request, ("limit", "cursor")), JobFilter(statuses=(Status.DEAD,)))

    async def job(self, request: Request, scope: str) -> Response:
        """``GET /admin/jobs/{id}``, payload and all."""
        read_query(request, ())
        return json_response(job_members(await browse.get(self._runtime, job_id_of(request), payload=True)))

    async def retry(self, request: Request, scope: str) -> Response:
        """``POST /admin/jobs/{id}/retry``."""
        return await self._operate(request, operate.requeue)

    async def bury(self, request: Request, scope: str) -> Response:
        """``POST /admin/jobs/{id}/dlq``."""
        return await self._operate(request, operate.bury)

    async def cancel(self, request: Request, scope: str) -> Response:
        """``POST /admin/jobs/{id}/cancel``."""
        return await self._operate(request, operate.cancel)

    async def stats(self, request: Request, scope: str) -> Response:
        """``GET /admin/stats``: counts by status, each up to ``cap``."""
        read_query(request, ())
        counted = await browse.counts(self._runtime)
        capped = [status.value for status, count in counted.items() if count >= COUNT_CAP]
        counts = {status.value: counted[status] for status in Status}
        return json_response({"counts": counts, "cap": COUNT_CAP, "capped": capped})

    async def workers(self, request: Request, scope: str) -> Response:
        """``GET /admin/workers``."""
        read_query(request, ())
        listed = [
            {
                "id": worker.id,
                "host": worker.host,
                "pid": worker.pid,
                "version": worker.version,
                "queues": worker.queues,
                "concurrency": worker.concurrency,
                "running": worker.running,
                "startedAt": time_text(worker.started_at),
                "beatAt": time_text(worker.beat_at),
            }
            for worker in await workers.list_workers(self._runtime)
        ]
        return json_response({"workers": listed})

    async def queues(self, request: Request, scope: str) -> Response:
        """``GET /admin/queues``."""
        read_query(request, ())
        listed = [
            {
                "name": queue.name,
                "paused": queue.paused_at is not None,
                "pausedAt": time_text(queue.paused_at),
                "queued": {"high": queue.high, "default": queue.default},
                "processing": queue.processing,
                "oldestQueuedAt": time_text(queue.oldest_queued_at),
            }
            for queue in await queues.list_queues(self._runtime)
        ]
        return json_response({"queues": listed, "cap": COUNT_CAP})

    async def pause(self, request: Request, scope: str) -> Response:
        """``POST /admin/queues/{name}/pause``."""
        return await self._set_paused(request, queues.pause, paused=True)

    async def resume(self, request: Request, scope: str) -> Response:
        """``POST /admin/queues/{name}/resume``."""
        return await self._set_paused(request, queues.resume, paused=False)

    async def _page(self, query: dict[str, str], wanted: JobFilter) -> Response:
        limit = int(number("limit", query.get("limit", str(DEFAULT_LIMIT)), 1, MAX_LIMIT, whole=True))
        below = _read_cursor(query["cursor"]) if "cursor" in query else None
        page = await browse.page(self._runtime, wanted, below, limit)
        next_cursor = _cursor(page.next_cursor) if page.next_cursor is not None else None
        return Response(jobs_page(page.jobs, next_cursor), media_type="application/json")

    async def _operate(self, request: Request, verb: Callable[[Runtime, JobId], Awaitable[Status]]) -> Response:
        read_query(request, ())
        await ignore_body(request)
        job_id = job_id_of(request)
        status = await verb(self._runtime, job_id)
        return json_response({"jobId": job_id, "status": status}, 202 if status is Status.PROCESSING else 200)

    async def _set_paused(
        self, request: Request, change: Callable[[Runtime, str], Awaitable[None]], *, paused: bool
    ) -> Response:
        read_query(request, ())
        await ignore_body(request)
        name = request.path_params["name"]
        if not is_queue_name(name):
            raise NotFound("no queue has this name")
        await change(self._runtime, name)
        return json_response({"name": name, "paused": paused})


def _one_of(name: str, query: dict[str, str], known: dict[str, Any], problems: list[Problem]) -> Any:
    if name not in query:
        return None
    if query[name] not in known:
        problems.append(Problem(f"/{name}", "one_of", f"expected one of {', '.join(known)}"))
        return None
    return known[query[name]]


def _cursor(job_id: JobId) -> str:
    return base64.urlsafe_b64encode(job_id.encode()).decode().rstrip("=")


def _read_cursor(text: str) -> JobId:
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        decoded = ""
    job_id = parse_job_id(decoded)
    if job_id is None:
        raise InvalidInput([Problem("/cursor", "cursor", "not a cursor of this list; take nextCursor as it came")])
    return job_id
