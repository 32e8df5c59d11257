"""Waiting for jobs to end: any number of callers, one read a tick."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.builders import a_move, a_worker
from tests.service.conftest import Office
from tests.waiting import eventually
from treadle.ids import JobId, new_job_id
from treadle.job import JobRequest
from treadle.service.browse import WATCH_SECONDS, Watcher
from treadle.service.claim import claim
from treadle.service.operate import cancel
from treadle.states import Verb


@pytest.fixture
async def watcher(office: Office) -> AsyncIterator[Watcher]:
    watcher = Watcher(office.runtime)
    yield watcher
    await watcher.aclose()


def wait(watcher: Watcher, job_id: JobId) -> asyncio.Task[None]:
    return asyncio.create_task(watcher.wait_final(job_id, 30))


async def reads(office: Office, count: int) -> None:
    goal = office.store.calls["statuses"] + count
    await eventually(lambda: office.store.calls["statuses"] >= goal)


async def test_a_waiter_is_let_go_when_its_job_ends(office: Office, watcher: Watcher) -> None:
    job_id = await office.submit()
    waiting = wait(watcher, job_id)
    await reads(office, 2)
    assert not waiting.done()

    await cancel(office.runtime, job_id)

    await asyncio.wait_for(waiting, 5)


async def test_a_job_that_starts_is_waited_for_on(office: Office, watcher: Watcher) -> None:
    job_id = await office.submit()
    waiting = wait(watcher, job_id)
    worker = a_worker()
    await office.real_store.register_worker(worker)
    await claim(office.runtime, worker.id, [job_id], None, 1)
    await reads(office, 2)
    assert not waiting.done()

    await office.real_store.settle([a_move(job_id=job_id)], office.runtime.clock.now())

    await asyncio.wait_for(waiting, 5)


async def test_a_job_that_is_final_already_lets_its_waiter_go_at_the_first_look(
    office: Office, watcher: Watcher
) -> None:
    job_id = await office.submit()
    await cancel(office.runtime, job_id)

    await asyncio.wait_for(watcher.wait_final(job_id, 30), 5)

    assert office.store.calls["statuses"] == 1


async def test_a_job_that_is_gone_lets_its_waiter_go(watcher: Watcher) -> None:
    await asyncio.wait_for(watcher.wait_final(new_job_id(), 30), 5)


async def test_five_hundred_waiters_cost_one_read_a_tick(office: Office, watcher: Watcher) -> None:
    requests = [JobRequest(type="ANY", payload=b"{}")] * 500
    ids = (await office.submitter.submit(requests)).ids
    begun = asyncio.get_running_loop().time()
    waiting = [wait(watcher, job_id) for job_id in ids]
    await reads(office, 5)
    took = asyncio.get_running_loop().time() - begun
    assert office.store.calls["statuses"] <= took / WATCH_SECONDS + 2
    before = office.store.calls["statuses"]

    await office.real_store.operate(Verb.CANCEL, ids, office.runtime.clock.now())

    await asyncio.wait_for(asyncio.gather(*waiting), 10)
    assert office.store.calls["statuses"] <= before + 2 + 5  # a few more ticks while the cancels commit
    assert office.store.calls["get"] == 0


async def test_two_waiters_for_one_job_are_both_let_go(office: Office, watcher: Watcher) -> None:
    job_id = await office.submit()
    waiting = [wait(watcher, job_id) for _ in range(2)]
    await reads(office, 1)

    await cancel(office.runtime, job_id)

    await asyncio.wait_for(asyncio.gather(*waiting), 5)


async def test_a_waiter_whose_time_is_up_returns_and_leaves_the_others(office: Office, watcher: Watcher) -> None:
    job_id = await office.submit()
    patient = wait(watcher, job_id)

    await asyncio.wait_for(watcher.wait_final(job_id, 0.05), 5)
    assert not patient.done()

    await cancel(office.runtime, job_id)
    await asyncio.wait_for(patient, 5)


async def test_nobody_waiting_costs_no_reads(office: Office, watcher: Watcher) -> None:
    job_id = await office.submit()
    await watcher.wait_final(job_id, 0.01)
    await eventually(lambda: watcher._task is None)

    waiting = wait(watcher, job_id)
    await reads(office, 1)
    waiting.cancel()
    await eventually(lambda: watcher._task is None)

    assert watcher._waiting == {}


async def test_a_waiter_outlasts_an_outage(office: Office, watcher: Watcher) -> None:
    job_id = await office.submit()
    office.store.refuse("statuses")
    waiting = wait(watcher, job_id)
    await reads(office, 3)
    assert not waiting.done()

    office.store.heal()
    await cancel(office.runtime, job_id)

    await asyncio.wait_for(waiting, 5)


async def test_a_read_that_breaks_is_not_the_end_of_waiting(office: Office, watcher: Watcher) -> None:
    job_id = await office.submit()
    office.store.refuse("statuses", times=1, error=ZeroDivisionError())
    waiting = wait(watcher, job_id)
    await reads(office, 1)

    await cancel(office.runtime, job_id)

    await asyncio.wait_for(waiting, 5)


async def test_closing_lets_every_waiter_go(office: Office) -> None:
    watcher = Watcher(office.runtime)
    waiting = [wait(watcher, await office.submit()) for _ in range(3)]
    await reads(office, 1)

    await asyncio.wait_for(watcher.aclose(), 5)

    await asyncio.wait_for(asyncio.gather(*waiting), 5)
