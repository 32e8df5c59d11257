"""The reads that take more than one statement, or whose rows mean more than themselves."""

from __future__ import annotations

from treadle.ids import JobId
from treadle.job import StoredJob
from treadle.states import Status
from treadle.store.postgres.connection import Connections
from treadle.store.postgres.rows import job_id
from treadle.store.postgres.statement import SQL
from treadle.store.protocol import JobFilter

WINDOW_ROWS = 20_000
"""A filter no index helps with looks at this many jobs a page, then hands out a cursor: 14 ms, where a plain WHERE
took 2.5 s for a type that was rare among ten million."""

_ABOVE_ALL = "ffffffff-ffff-ffff-ffff-ffffffffffff"
_LIVE = frozenset({Status.QUEUED, Status.PROCESSING})
_PAGE_QUERIES = {
    "page_live": _LIVE,
    "page_status": frozenset(Status) - _LIVE - {Status.COMPLETED},
}
"""Which statuses have an index that helps with a page of them."""


async def page_ids(
    connections: Connections, wanted: JobFilter, below: JobId | None, limit: int
) -> tuple[list[JobId], JobId | None]:
    """The ids of a page, and below which one the next page goes on, if there may be more."""
    found = await _look(connections, _page_query(wanted), wanted, below, limit)
    if found is None:  # too many to be read whole, and then there are some among the newest of all
        found = await _look(connections, "page_all", wanted, below, limit)
    return found or ([], None)


def _page_query(wanted: JobFilter) -> str:
    if wanted.statuses is not None:
        for query, helped in _PAGE_QUERIES.items():
            if helped.issuperset(wanted.statuses):
                return query
    return "page_all"


async def _look(
    connections: Connections, query: str, wanted: JobFilter, below: JobId | None, limit: int
) -> tuple[list[JobId], JobId | None] | None:
    helps = query == "page_status" or wanted.statuses is None
    is_filtered = not helps or any(part is not None for part in (wanted.type, wanted.queue, wanted.priority))
    window = WINDOW_ROWS if is_filtered else limit + 1
    values = {
        "statuses": None if wanted.statuses is None else [status.value for status in wanted.statuses],
        "type": wanted.type,
        "queue": wanted.queue,
        "priority": None if wanted.priority is None else wanted.priority.label,
        "below": below or _ABOVE_ALL,
        "window": window,
        "limit": limit + 1,
    }
    rows = await connections.read(SQL[query], values)
    looked: int = rows[0]["looked"]
    if query == "page_live" and looked >= window:
        return None
    ids = [job_id(row) for row in rows if row["id"] is not None]
    if len(ids) > limit:
        return ids[:limit], ids[limit - 1]
    last = rows[0]["last"]
    return ids, JobId(str(last)) if looked == window and last is not None else None


def is_wanted(job: StoredJob, wanted: JobFilter) -> bool:
    """Whether ``job`` still is what a page was asked for; the rest of it never changes."""
    return wanted.statuses is None or job.status in wanted.statuses
