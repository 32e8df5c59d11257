"""Long lines: a scan after one that found all it wanted claims in the transaction in which it looks."""

from __future__ import annotations

import pytest

from tests.builders import NOW
from tests.conformance.steps import a_worker_in, at, inserted, scan
from tests.sqlite.conftest import Beside, NewStore
from treadle.ids import WorkerId
from treadle.queue import Priority
from treadle.store.sqlite.store import SQLiteStore


@pytest.fixture
async def worker_id(store: SQLiteStore) -> WorkerId:
    return await a_worker_in(store)


@pytest.fixture(autouse=True)
async def a_long_line(store: SQLiteStore, worker_id: WorkerId) -> None:
    """The last scan found all it wanted."""
    await inserted(store)
    assert len(await scan(store, worker_id, 1)) == 1


async def test_what_is_claimed_is_what_a_first_look_would_claim(store: SQLiteStore, worker_id: WorkerId) -> None:
    await store.declare_queues(["paused"])
    await store.set_paused("paused", NOW)
    later = await inserted(store, now=at(2))
    first = await inserted(store, now=at(1), payload=b'{"text":"\xc3\xa9"}')
    high = await inserted(store, now=at(3), priority=Priority.HIGH)
    large = await inserted(store, now=at(4), payload=b'{"text":"%s"}' % (b"x" * 100_000))
    await inserted(store, queue="paused")
    await inserted(store, queue="other")
    await inserted(store, type="UNKNOWN")
    await inserted(store, run_at=at(60))

    claimed = await scan(store, worker_id, 100, now=at(5), queues=["default", "paused"])

    assert [job.id for job in claimed] == [high, first, later, large]
    assert [len(job.payload) for job in claimed] == [7, 13, 7, 100_011]
    assert [(job.attempt, job.started_at, job.queued_at) for job in claimed][:2] == [
        (1, at(5), at(3)),
        (1, at(5), at(1)),
    ]
    assert {job.worker_id for job in (await store.get([job.id for job in claimed])).values()} == {worker_id}


async def test_an_ended_lease_gets_nothing(store: SQLiteStore, worker_id: WorkerId) -> None:
    job_id = await inserted(store)
    await store.end_worker(worker_id, None, NOW)

    assert await scan(store, worker_id, 1) == []
    assert (await store.get([job_id]))[job_id].attempt == 0


async def test_at_its_end_a_look_takes_no_lock_again(store: SQLiteStore, worker_id: WorkerId, beside: Beside) -> None:
    assert await scan(store, worker_id, 1) == []
    other = beside()
    other.execute("BEGIN IMMEDIATE")

    assert await scan(store, worker_id, 1) == []

    other.execute("ROLLBACK")


async def test_two_processes_get_each_job_once(store: SQLiteStore, worker_id: WorkerId, new_store: NewStore) -> None:
    neighbour = new_store()
    await neighbour.open(migrate=True)
    other_id = await a_worker_in(neighbour)
    expected = {await inserted(store) for _ in range(20)}
    claimed = []
    for _ in range(10):
        claimed += [job.id for job in await scan(store, worker_id, 1)]
        claimed += [job.id for job in await scan(neighbour, other_id, 1)]

    assert len(claimed) == len(expected)
    assert set(claimed) == expected
