"""Pages: what the GET addresses of ``/admin/ui`` show. They read and change nothing."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.responses import RedirectResponse, Response

from treadle.admin.actions import DONE, SEE_OTHER, actions_of
from treadle.admin.filters import FILTERS, Filter, page_query, read_filter, read_news
from treadle.admin.html import Html
from treadle.admin.masked import Readable, readable
from treadle.admin.pulse import Pulse, Snapshot
from treadle.admin.reasons import reason
from treadle.admin.tiles import is_served, tiles
from treadle.admin.timeline import timeline
from treadle.admin.wording import ago
from treadle.errors import TreadleError
from treadle.ids import parse_job_id
from treadle.job import AttemptError
from treadle.queue import PRIORITY_BY_LABEL
from treadle.service import browse
from treadle.service.runtime import Runtime
from treadle.states import UNFINISHED, Status
from treadle.store.protocol import Page
from treadle.web.body import beside_loop
from treadle.web.file import file_response
from treadle.web.listing import cursor_text, read_cursor
from treadle.web.problems import headers_of, kind_of
from treadle.web.query import Query
from treadle.web.request import Request, job_id_of

ROWS = 50
FAILED_ROWS = 25

_ERRORS = msgspec.json.Decoder(list[AttemptError])


class _Artifact(msgspec.Struct, rename="camel"):
    path: str
    size_bytes: int
    sha256: str
    media_type: str


_ARTIFACTS = msgspec.json.Decoder(list[_Artifact])


class _Progress(msgspec.Struct):
    done: float
    total: float | None
    message: str | None


_PROGRESS = msgspec.json.Decoder(_Progress)


class Pages:
    """The GET endpoints of ``/admin/ui``."""

    def __init__(self, runtime: Runtime, pulse: Pulse, html: Html) -> None:
        self._runtime = runtime
        self._pulse = pulse
        self._html = html

    async def home(self, request: Request) -> Response:
        """``GET /admin/ui/``: without the slash."""
        return RedirectResponse("/admin/ui", 308)

    async def overview(self, request: Request) -> Response:
        """``GET /admin/ui``: the four answers, the chart, and the failed jobs."""
        query = page_query(request, "cursor")
        below = read_cursor(query)
        news = read_news(query, DONE)
        query.check()
        snapshot = await self._pulse.snapshot()
        failed = Filter(status=Status.FAILED)
        page = await browse.page(self._runtime, failed.wanted(), below, FAILED_ROWS)
        return self._page(
            "overview",
            snapshot,
            news=news,
            here=_address("/admin/ui", cursor=cursor_text(below)),
            jobs=page.jobs,
            older=_older("/admin/ui", page),
            is_first=below is None,
            back={"page": "overview", "query": urlencode({"cursor": cursor_text(below)} if below else {})},
            tiles=tiles(snapshot, self._pulse.points),
            points=(*self._pulse.points, snapshot.point),
        )

    async def jobs(self, request: Request) -> Response:
        """``GET /admin/ui/jobs``: newest first; ``find`` leads to one job's page."""
        query = page_query(request, *FILTERS, "cursor", "find")
        chosen = read_filter(query)
        below = read_cursor(query)
        news = read_news(query, DONE)
        wanted_id = query.text("find")
        job_id = parse_job_id(wanted_id.strip()) if wanted_id is not None else None
        if wanted_id is not None and job_id is None:
            query.refuse("find", "id", "expected the whole id of a job")
        query.check()
        if job_id is not None:
            return RedirectResponse(f"/admin/ui/jobs/{job_id}", SEE_OTHER)
        snapshot = await self._pulse.snapshot()
        page = await browse.page(self._runtime, chosen.wanted(), below, ROWS)
        cursor = cursor_text(below)
        return self._page(
            "jobs",
            snapshot,
            news=news,
            here=f"/admin/ui/jobs?{chosen.query(cursor=cursor)}",
            jobs=page.jobs,
            older=_older("/admin/ui/jobs", page, chosen),
            is_first=below is None,
            back={"page": "jobs", "query": chosen.query(cursor=cursor)},
            chosen=chosen,
            types=self._runtime.registry.names,
            tabs=[(None, sum(snapshot.counts.values())), *((s, snapshot.counts.get(s, 0)) for s in Status)],
            priorities=tuple(PRIORITY_BY_LABEL),
        )

    async def dead(self, request: Request) -> Response:
        """``GET /admin/ui/dead``: the dead-letter queue."""
        query = page_query(request, "type", "queue", "cursor")
        chosen = read_filter(query)
        below = read_cursor(query)
        news = read_news(query, DONE)
        query.check()
        snapshot = await self._pulse.snapshot()
        dead = Filter(Status.DEAD, chosen.type, chosen.queue)
        page = await browse.page(self._runtime, dead.wanted(), below, ROWS)
        again = chosen.query(cursor=cursor_text(below))
        return self._page(
            "dead",
            snapshot,
            news=news,
            here=f"/admin/ui/dead?{again}",
            jobs=page.jobs,
            older=_older("/admin/ui/dead", page, chosen),
            is_first=below is None,
            back={"page": "dead", "query": again},
            chosen=chosen,
            types=self._runtime.registry.names,
        )

    async def job(self, request: Request) -> Response:
        """``GET /admin/ui/jobs/{id}``: everything about one."""
        job_id = job_id_of(request)
        query = page_query(request)
        news = read_news(query, DONE)
        query.check()
        job = await browse.get(self._runtime, job_id, payload=True)
        snapshot = await self._pulse.snapshot()
        errors = _ERRORS.decode(job.errors)
        return self._page(
            "job",
            snapshot,
            news=news,
            here=f"/admin/ui/jobs/{job_id}",
            back={"page": "job", "query": ""},
            job=job,
            reason=reason(job, snapshot),
            is_unfinished=job.status in UNFINISHED,
            timeline=timeline(job, errors, snapshot.at),
            errors=list(reversed(errors)),
            artifacts=_ARTIFACTS.decode(job.artifacts),
            payload=await _read(job.payload),
            result=await _read(job.result),
            progress=_PROGRESS.decode(job.progress) if job.progress is not None else None,
        )

    async def file(self, request: Request) -> Response:
        """``GET /admin/ui/jobs/{id}/file``: its artifact, for whoever has the admin login and no API key."""
        job_id = job_id_of(request)
        Query(request).check()
        return await file_response(self._runtime, request, job_id)

    async def queues(self, request: Request) -> Response:
        """``GET /admin/ui/queues``."""
        query = page_query(request)
        news = read_news(query, DONE)
        query.check()
        snapshot = await self._pulse.snapshot()
        served = {queue.name: is_served(queue.name, snapshot) for queue in snapshot.queues}
        return self._page("queues", snapshot, news=news, here="/admin/ui/queues", served=served)

    async def workers(self, request: Request) -> Response:
        """``GET /admin/ui/workers``."""
        page_query(request).check()
        return self._page("workers", await self._pulse.snapshot(), news=None, here="/admin/ui/workers")

    def explain(self, request: Request, error: Exception) -> Response | None:
        """An error as a page; ``None`` for a bug, which is logged and answered where all bugs are."""
        if not isinstance(error, TreadleError):
            return None
        kind = kind_of(error)
        detail = kind.detail or str(error)
        response = self._html.page("problem", kind.status, title=kind.title, detail=detail, counts=None)
        response.headers.update(headers_of(error))
        return response

    def _page(self, name: str, snapshot: Snapshot, **values: Any) -> Response:
        news = values.pop("news")
        said = None if news is None else (DONE[news.did], news)
        return self._html.page(
            name,
            counts=snapshot.counts,
            snapshot=snapshot,
            now=snapshot.at,
            version=snapshot.version,
            said=said,
            Status=Status,
            ago=ago,
            actions_of=actions_of,
            port=self._runtime.settings.api_port,
            **values,
        )


async def _read(document: bytes | None) -> Readable | None:
    return None if document is None else await beside_loop(len(document), readable, document)


def _address(path: str, **parameters: str | None) -> str:
    given = {name: value for name, value in parameters.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def _older(path: str, page: Page, chosen: Filter | None = None) -> str | None:
    """The address of the next page; ``None`` on the last."""
    cursor = cursor_text(page.next_cursor)
    return None if cursor is None else f"{path}?{(chosen or Filter()).query(cursor=cursor)}"
