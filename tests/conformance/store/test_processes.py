"""Several processes on one database: real ones, started and ended by the test."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.builders import NOW
from tests.conformance.conftest import AnotherStore, Database
from tests.conformance.neighbour import Neighbour, start
from tests.conformance.steps import a_worker_in, at, inserted, move, operate, read, scan
from tests.waiting import eventually
from treadle.ids import JobId
from treadle.states import Status, Verb
from treadle.store.protocol import Store, WorkerRecord

StartNeighbour = Callable[..., Awaitable[Neighbour]]


@pytest.fixture
async def start_neighbour(database: Database) -> AsyncIterator[StartNeighbour]:
    """Starts other processes on the test's database; those still there at the end are killed."""
    started: list[Neighbour] = []

    async def start_one(role: str, count: int = 0) -> Neighbour:
        started.append(await start(database.backend, database.address, role, count))
        return started[-1]

    yield start_one
    for neighbour in started:
        await neighbour.kill()


async def test_processes_that_start_at_once_on_a_new_database_migrate_it_once(
    start_neighbour: StartNeighbour, another_store: AnotherStore
) -> None:
    neighbours = await asyncio.gather(*(start_neighbour("open") for _ in range(4)))

    for neighbour in neighbours:
        neighbour.let_go()
    store = await another_store()

    assert [await neighbour.hear() for neighbour in neighbours] == ["open"] * 4
    assert (await read(store, await inserted(store))).status is Status.QUEUED
    for neighbour in neighbours:
        neighbour.let_go()
        assert await neighbour.hear_all() == []


async def test_each_job_runs_once_however_many_processes_insert_claim_and_settle(
    store: Store, start_neighbour: StartNeighbour
) -> None:
    own_count, their_count = 300, 300
    inserting = await start_neighbour("insert", their_count)
    working = [await start_neighbour("work") for _ in range(2)]
    ran: list[tuple[str, int]] = []
    worker_id = await a_worker_in(store)

    async def work_until_all_is_done() -> None:
        while (await store.counts())[Status.COMPLETED] < own_count + their_count:
            jobs = await scan(store, worker_id, limit=10)
            settled = await store.settle([move(job.id, job.attempt, Verb.COMPLETE) for job in jobs], NOW)
            ran.extend((job.id, job.attempt) for job, done in zip(jobs, settled, strict=True) if done.status)

    async def insert_own() -> list[str]:
        return [await inserted(store) for _ in range(own_count)]

    own, _ = await asyncio.gather(insert_own(), work_until_all_is_done())
    theirs = [line for line in await inserting.hear_all() if line != "open"]
    for neighbour in working:
        neighbour.let_go()
        for line in await neighbour.hear_all():
            if line != "open":
                job_id, attempt = line.split()
                ran.append((job_id, int(attempt)))

    assert len(theirs) == their_count
    assert Counter(ran) == dict.fromkeys([(job_id, 1) for job_id in own + theirs], 1)


async def test_what_another_process_committed_is_read_at_once(store: Store, start_neighbour: StartNeighbour) -> None:
    neighbour = await start_neighbour("insert", 30)

    told = [line for line in await neighbour.hear_all() if line != "open"]

    assert set((await store.statuses([JobId(job_id) for job_id in told])).values()) == {Status.QUEUED}
    assert len(told) == 30


async def test_a_killed_process_leaves_its_jobs_to_be_taken_back(store: Store, start_neighbour: StartNeighbour) -> None:
    neighbour = await start_neighbour("work")
    assert await neighbour.hear() == "open"
    workers: list[WorkerRecord] = await eventually(store.workers)
    [worker] = workers
    await neighbour.kill()
    job_id = await inserted(store)

    ended = await store.end_worker(worker.id, worker.beat, at(20))

    assert ended is True
    assert [job.id for job in await scan(store, await a_worker_in(store))] == [job_id]


# --------------------------------------------------------------------------------------------- changes


@pytest.mark.needs("changes")
async def test_changes_tell_when_another_process_commits(store: Store, start_neighbour: StartNeighbour) -> None:
    before = await store.changes()

    await (await start_neighbour("insert", 1)).hear_all()

    assert await store.changes() != before


@pytest.mark.needs("changes")
async def test_changes_tell_when_another_store_of_this_process_commits(
    store: Store, another_store: AnotherStore
) -> None:
    other = await another_store()
    before = await store.changes()

    job_id = await inserted(other)
    after_insert = await store.changes()
    await operate(other, Verb.CANCEL, job_id)

    assert len({before, after_insert, await store.changes()}) == 3


@pytest.mark.needs("changes")
async def test_changes_do_not_tell_of_a_stores_own_commits_nor_of_reads(
    store: Store, another_store: AnotherStore
) -> None:
    other = await another_store()
    before = await store.changes()

    worker_id = await a_worker_in(store)
    await inserted(store)
    await scan(store, worker_id)
    await other.counts()
    await other.ping()

    assert await store.changes() == before
