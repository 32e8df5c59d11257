"""What operators see and do over HTTP."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any

from starlette.responses import Response

from treadle.api.jobs import JSON, bodiless, cancelled, json_response
from treadle.errors import NotFound
from treadle.ids import JobId
from treadle.queue import is_queue_name
from treadle.service import browse, operate, queues, workers
from treadle.service.browse import FAILED_FOR_GOOD
from treadle.service.runtime import Runtime
from treadle.states import Status
from treadle.store.protocol import COUNT_CAP, JobFilter, QueueRecord, WorkerRecord
from treadle.web.body import ignore_body
from treadle.web.listing import cursor_text, read_cursor, read_priority, read_queue, read_type
from treadle.web.query import Query
from treadle.web.request import Request, job_id_of
from treadle.wire import job_members, jobs_page, time_text

logger = logging.getLogger("treadle.api")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200


class Admin:
    """The endpoints of ``/admin``."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def list_jobs(self, request: Request) -> Response:
        """``GET /admin/jobs``: newest first."""
        return await self._page(request, tuple(Status), None)

    async def list_failed(self, request: Request) -> Response:
        """``GET /admin/failed``: failed for good."""
        return await self._page(request, FAILED_FOR_GOOD, FAILED_FOR_GOOD)

    async def list_dead(self, request: Request) -> Response:
        """``GET /admin/dlq``."""
        return await self._page(request, (), (Status.DEAD,))

    async def get_job(self, request: Request) -> Response:
        """``GET /admin/jobs/{id}``, payload and all."""
        job_id = job_id_of(request)
        Query(request).check()
        return json_response(job_members(await browse.get(self._runtime, job_id, payload=True)))

    async def retry(self, request: Request) -> Response:
        """``POST /admin/jobs/{id}/retry``: a new life."""
        job_id = await bodiless(request)
        status = await operate.requeue(self._runtime, job_id)
        _log(request, "retried", job_id)
        return json_response({"jobId": job_id, "status": status})

    async def bury(self, request: Request) -> Response:
        """``POST /admin/jobs/{id}/dlq``."""
        job_id = await bodiless(request)
        status = await operate.bury(self._runtime, job_id)
        _log(request, "moved to the dead-letter queue", job_id)
        return json_response({"jobId": job_id, "status": status})

    async def cancel(self, request: Request) -> Response:
        """``POST /admin/jobs/{id}/cancel``: 202 where the job runs and was asked to stop."""
        job_id = await bodiless(request)
        status = await operate.cancel(self._runtime, job_id)
        _log(request, "cancelled" if status is Status.CANCELLED else "asked to stop", job_id)
        return cancelled(job_id, status)

    async def delete(self, request: Request) -> Response:
        """``POST /admin/jobs/{id}/delete``: final jobs only; ``?files=true`` for its files too."""
        job_id = job_id_of(request)
        query = Query(request, ("files",))
        files = query.one_of("files", ("true", "false")) == "true"
        query.check()
        await ignore_body(request)
        removed = await operate.delete(self._runtime, job_id, files=files)
        _log(request, "deleted", job_id)
        return json_response({"jobId": job_id, "filesRemoved": removed})

    async def erase(self, request: Request) -> Response:
        """``POST /admin/jobs/{id}/erase``: final jobs only."""
        job_id = await bodiless(request)
        status = await operate.erase(self._runtime, job_id)
        _log(request, "erased", job_id)
        return json_response({"jobId": job_id, "status": status})

    async def stats(self, request: Request) -> Response:
        """``GET /admin/stats``: jobs by status, each counted up to ``cap``."""
        Query(request).check()
        counted = await browse.counts(self._runtime)
        members = {
            "counts": {status: counted.get(status, 0) for status in Status},
            "capped": [status for status in Status if counted.get(status, 0) >= COUNT_CAP],
            "cap": COUNT_CAP,
        }
        return json_response(members)

    async def list_workers(self, request: Request) -> Response:
        """``GET /admin/workers``: those whose lease has not ended."""
        Query(request).check()
        return json_response({"workers": [_worker(w) for w in await workers.list_workers(self._runtime)]})

    async def list_queues(self, request: Request) -> Response:
        """``GET /admin/queues``."""
        Query(request).check()
        listed = [_queue(queue) for queue in await queues.list_queues(self._runtime)]
        return json_response({"queues": listed, "cap": COUNT_CAP})

    async def pause(self, request: Request) -> Response:
        """``POST /admin/queues/{name}/pause``."""
        name = await _queue_name(request)
        await queues.pause(self._runtime, name)
        return _switched(request, name, paused=True)

    async def resume(self, request: Request) -> Response:
        """``POST /admin/queues/{name}/resume``."""
        name = await _queue_name(request)
        await queues.resume(self._runtime, name)
        return _switched(request, name, paused=False)

    async def _page(
        self, request: Request, choice: Collection[Status], otherwise: tuple[Status, ...] | None
    ) -> Response:
        """Jobs in the status that was asked for, one of ``choice``; in ``otherwise`` where none was."""
        names = ("status", "type", "queue", "priority", "limit", "cursor")
        query = Query(request, names if choice else names[1:])
        status = query.one_of("status", choice)
        wanted = JobFilter(
            statuses=(Status(status),) if status is not None else otherwise,
            type=read_type(query),
            queue=read_queue(query),
            priority=read_priority(query),
        )
        limit = query.whole("limit", 1, MAX_LIMIT, DEFAULT_LIMIT)
        below = read_cursor(query)
        query.check()
        page = await browse.page(self._runtime, wanted, below, limit)
        return Response(jobs_page(page.jobs, cursor_text(page.next_cursor)), media_type=JSON)


def _log(request: Request, what: str, job_id: JobId) -> None:
    logger.info("%s by an operator", what, extra={"job": job_id, "request": request.id})


async def _queue_name(request: Request) -> str:
    name = request.path("name")
    if not is_queue_name(name):
        raise NotFound("no queue has this name")
    Query(request).check()
    await ignore_body(request)
    return name


def _switched(request: Request, name: str, *, paused: bool) -> Response:
    logger.info(
        "queue %s by an operator", "paused" if paused else "resumed", extra={"queue": name, "request": request.id}
    )
    return json_response({"name": name, "paused": paused})


def _queue(queue: QueueRecord) -> Mapping[str, Any]:
    return {
        "name": queue.name,
        "paused": queue.paused_at is not None,
        "pausedAt": time_text(queue.paused_at),
        "queued": {"high": queue.high, "default": queue.default},
        "processing": queue.processing,
        "oldestQueuedAt": time_text(queue.oldest_queued_at),
    }


def _worker(worker: WorkerRecord) -> Mapping[str, Any]:
    return {
        "id": worker.id,
        "host": worker.host,
        "pid": worker.pid,
        "version": worker.version,
        "queues": worker.queues,  # none: every queue
        "concurrency": worker.concurrency,
        "running": worker.running,
        "startedAt": time_text(worker.started_at),
        "beatAt": time_text(worker.beat_at),
    }
