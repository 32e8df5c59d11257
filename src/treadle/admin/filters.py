"""Which jobs a page lists: read from its address, written back into the addresses of tabs, pages and forms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from treadle.ids import JobId, parse_job_id
from treadle.queue import Priority
from treadle.states import Status
from treadle.store.protocol import JobFilter
from treadle.web.listing import read_priority, read_queue, read_type
from treadle.web.query import Query
from treadle.web.request import Request

FILTERS = ("status", "type", "queue", "priority")
NEWS = ("did", "job", "count")
"""What a page says when an action led to it; left out of every address it gives on."""

_PATHS = {"overview": "/admin/ui", "jobs": "/admin/ui/jobs", "dead": "/admin/ui/dead", "queues": "/admin/ui/queues"}


@dataclass(frozen=True, slots=True)
class Filter:
    """What was asked for; ``None`` means any."""

    status: Status | None = None
    type: str | None = None
    queue: str | None = None
    priority: Priority | None = None

    @property
    def is_narrow(self) -> bool:
        """Whether anything but the status narrows the list."""
        return (self.type, self.queue, self.priority) != (None, None, None)

    def wanted(self) -> JobFilter:
        """For the store."""
        statuses = (self.status,) if self.status is not None else None
        return JobFilter(statuses=statuses, type=self.type, queue=self.queue, priority=self.priority)

    def query(self, **others: str | None) -> str:
        """The query string that asks for this again, with ``others`` put in their place; ``None`` takes one out."""
        own = {
            "status": self.status,
            "type": self.type,
            "queue": self.queue,
            "priority": self.priority.label if self.priority is not None else None,
        }
        return urlencode({name: value for name, value in {**own, **others}.items() if value})


def read_filter(query: Query) -> Filter:
    """Problems are left with ``query``."""
    status = query.one_of("status", tuple(Status))
    return Filter(
        Status(status) if status is not None else None, read_type(query), read_queue(query), read_priority(query)
    )


@dataclass(frozen=True, slots=True)
class News:
    """What an action before this page did."""

    did: str
    job_id: JobId | None
    count: int


def read_news(query: Query, known: Iterable[str]) -> News | None:
    """What is to be said at the top of the page: a word from a fixed list, never a text from the address."""
    did = query.one_of("did", tuple(known))
    count = query.whole("count", 0, 10_000, 0)
    job_id = parse_job_id(query.text("job") or "")
    return News(did, job_id, count) if did is not None else None


def page_query(request: Request, *names: str) -> Query:
    """The query of a page, whose forms send empty fields too."""
    return Query(request, (*names, *NEWS), blank_is_absent=True)


def where_to(form: Mapping[str, str], job_id: JobId | None, news: Mapping[str, str]) -> str:
    """The page an action was taken on, from what its form says; made of known paths and known names alone.

    A form that named an address would be an open redirect.
    """
    path = _PATHS.get(form.get("page", ""))
    if path is None:
        path = f"{_PATHS['jobs']}/{job_id}" if job_id is not None else _PATHS["overview"]
        return f"{path}?{urlencode(news)}"
    kept = {k: v for k, v in parse_qsl(form.get("query", "")) if k in (*FILTERS, "cursor") and len(v) <= 128}
    return f"{path}?{urlencode({**kept, **news})}"
