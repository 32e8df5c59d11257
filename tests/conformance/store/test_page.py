"""Page: jobs newest first, walked by a cursor."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.builders import a_new_job, a_submission
from tests.conformance.steps import an_id_at, at, insert, inserted, one_of_each, read_all, status_of
from treadle.ids import JobId, WorkerId
from treadle.job import StoredJob
from treadle.queue import Priority
from treadle.states import Status
from treadle.store.protocol import JobFilter, Page, Store

ANY = JobFilter()


async def walk(store: Store, wanted: JobFilter, limit: int, *, pages: int = 1000) -> list[StoredJob]:
    """Every page after another, to the end."""
    found: list[StoredJob] = []
    below: JobId | None = None
    for _ in range(pages):
        page = await store.page(wanted, below, limit)
        assert len(page.jobs) <= limit
        found += page.jobs
        if page.next_cursor is None:
            return found
        assert below is None or page.next_cursor < below
        below = page.next_cursor
    raise AssertionError("the walk does not end")


def ids_of(jobs: list[StoredJob] | tuple[StoredJob, ...]) -> list[JobId]:
    return [job.id for job in jobs]


async def test_an_empty_database_is_an_empty_page(store: Store) -> None:
    assert await store.page(ANY, None, 10) == Page((), None)


async def test_the_newest_is_first(store: Store) -> None:
    ids = [await inserted(store, id=an_id_at(at(seconds))) for seconds in (2, 1, 3)]

    page = await store.page(ANY, None, 10)

    assert (ids_of(page.jobs), page.next_cursor) == ([ids[2], ids[0], ids[1]], None)


async def test_a_page_holds_whole_jobs_without_their_payloads(store: Store, worker_id: WorkerId) -> None:
    ids = list((await one_of_each(store, worker_id)).values())

    page = await store.page(ANY, None, 100)

    wanted = await store.get(ids)
    assert {job.id: job for job in page.jobs} == wanted
    assert {job.payload for job in page.jobs} == {None}


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 20, 21])
async def test_the_cursor_walks_over_everything_exactly_once(store: Store, limit: int) -> None:
    ids = await insert(store, *(a_new_job() for _ in range(20)))

    assert ids_of(await walk(store, ANY, limit)) == sorted(ids, reverse=True)


async def test_a_page_that_ends_at_the_last_job_has_no_cursor(store: Store) -> None:
    await insert(store, *(a_new_job() for _ in range(4)))

    first = await store.page(ANY, None, 2)
    last = await store.page(ANY, first.next_cursor, 2)

    assert (len(last.jobs), last.next_cursor) == (2, None)


async def test_jobs_that_arrive_during_a_walk_disturb_nothing(store: Store, now: datetime) -> None:
    ids = await insert(store, *(a_new_job() for _ in range(20)))
    found: list[JobId] = []
    below: JobId | None = None
    while True:
        page = await store.page(ANY, below, 3)
        found += ids_of(page.jobs)
        if page.next_cursor is None:
            break
        below = page.next_cursor
        await store.insert([a_submission() for _ in range(2)], now)

    assert found == sorted(ids, reverse=True)


async def test_a_cursor_whose_job_is_gone_still_works(store: Store) -> None:
    ids = sorted([await inserted(store, id=an_id_at(at(seconds))) for seconds in (1, 3)])

    page = await store.page(ANY, an_id_at(at(2)), 10)

    assert ids_of(page.jobs) == ids[:1]


# -------------------------------------------------------------------------------------------- filters


@pytest.mark.parametrize("status", Status)
async def test_by_status(store: Store, worker_id: WorkerId, status: Status) -> None:
    jobs = await one_of_each(store, worker_id)

    found = await walk(store, JobFilter(statuses=(status,)), 2)

    assert ids_of(found) == sorted([jobs[way] for way in jobs if status_of(way) is status], reverse=True)


@pytest.mark.parametrize(
    "wanted",
    [
        (Status.FAILED, Status.DEAD),
        (Status.DEAD, Status.FAILED, Status.CANCELLED),
        (Status.QUEUED, Status.QUEUED),
        tuple(Status),
        (),
    ],
    ids=str,
)
@pytest.mark.parametrize("limit", [1, 4, 100])
async def test_by_several_statuses_merged_newest_first(
    store: Store, worker_id: WorkerId, wanted: tuple[Status, ...], limit: int
) -> None:
    jobs = await one_of_each(store, worker_id)

    found = await walk(store, JobFilter(statuses=wanted), limit)

    assert ids_of(found) == sorted([jobs[way] for way in jobs if status_of(way) in wanted], reverse=True)


async def _a_mixture(store: Store) -> list[StoredJob]:
    made = [
        a_new_job(type=kind, queue=queue, priority=priority)
        for kind in ("A", "B")
        for queue in ("q", "r")
        for priority in Priority
        for _ in range(2)
    ]
    return sorted(await read_all(store, await insert(store, *made)), key=lambda job: job.id, reverse=True)


@pytest.mark.parametrize(
    "wanted",
    [
        JobFilter(type="A"),
        JobFilter(queue="r"),
        JobFilter(priority=Priority.HIGH),
        JobFilter(priority=Priority.DEFAULT),
        JobFilter(type="B", queue="q"),
        JobFilter(type="B", queue="q", priority=Priority.HIGH),
        JobFilter(statuses=(Status.QUEUED,), type="B"),
        JobFilter(statuses=(Status.QUEUED, Status.FAILED), type="A", queue="r", priority=Priority.HIGH),
        JobFilter(statuses=(Status.FAILED,), type="A"),
        JobFilter(type="a"),
        JobFilter(queue="nowhere"),
    ],
    ids=str,
)
@pytest.mark.parametrize("limit", [1, 3, 50])
async def test_by_every_filter_and_their_combinations(store: Store, wanted: JobFilter, limit: int) -> None:
    expected = [
        job.id
        for job in await _a_mixture(store)
        if (wanted.statuses is None or job.status in wanted.statuses)
        and (wanted.type is None or job.type == wanted.type)
        and (wanted.queue is None or job.queue == wanted.queue)
        and (wanted.priority is None or job.priority == wanted.priority)
    ]

    assert ids_of(await walk(store, wanted, limit)) == expected


async def test_a_rare_filter_is_sought_in_a_window_and_the_cursor_goes_on_behind_it(
    store: Store, now: datetime
) -> None:
    oldest = await inserted(store, type="RARE", id=an_id_at(at(-100)))
    for number in range(15):
        crowd = [a_new_job(id=an_id_at(at(0), number * 2000 + one)) for one in range(2000)]
        await store.insert([a_submission(*crowd)], now)
    newest = await inserted(store, type="RARE", id=an_id_at(at(100)))

    first = await store.page(JobFilter(type="RARE"), None, 2)

    assert ids_of(first.jobs) == [newest]
    assert first.next_cursor is not None
    assert ids_of(await walk(store, JobFilter(type="RARE"), 2, pages=20)) == [newest, oldest]
