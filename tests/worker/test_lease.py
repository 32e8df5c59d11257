"""The lease: beats that go on through everything, and an identity that is never taken up again once it is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.waiting import eventually
from tests.worker.house import Door, House, open_house
from treadle.context import Job
from treadle.errors import StoreRefused
from treadle.jobtype import Registry
from treadle.service.reap import take_back
from treadle.states import Status

Payload = dict[str, Any]


@pytest.fixture
def jobs(registry: Registry, door: Door) -> list[Job]:
    """The jobs of WAIT that stand at the door, as their handlers see them."""
    jobs: list[Job] = []

    @registry.job("WAIT")
    async def wait(payload: Payload, job: Job) -> str:
        jobs.append(job)
        await door.passed()
        return f"attempt {job.attempt}"

    return jobs


async def end_lease(house: House) -> str:
    """What a reaper does; the identity that is lost by it."""
    old = house.worker.lease.worker_id
    assert await house.real_store.end_worker(old, None, house.runtime.clock.now())
    return old


async def test_a_worker_registers_and_beats(registry: Registry) -> None:
    async with open_house(registry, {"TREADLE_CONCURRENCY": "7"}) as house:
        [begun] = await house.leases()
        await house.beats(3)
        [lease] = await house.leases()

    assert lease.id == begun.id == house.worker.lease.worker_id
    assert lease.beat >= 2
    assert (lease.concurrency, lease.version) == (7, "test")


async def test_a_beat_says_how_many_jobs_are_held(registry: Registry, jobs: list[Job], door: Door) -> None:
    async with open_house(registry) as house:
        await house.submit_many("WAIT", 3)

        async def three_are_told() -> bool:
            return (await house.leases())[0].running == 3

        await eventually(three_are_told)


async def test_a_worker_that_was_taken_for_dead_aborts_drops_and_goes_on_as_somebody_else(
    registry: Registry, jobs: list[Job], door: Door
) -> None:
    async with open_house(registry) as house:
        job_id = await house.submit("WAIT")
        await eventually(lambda: jobs)
        old = await end_lease(house)
        await take_back(house.runtime)

        await eventually(lambda: house.worker.lease.worker_id != old)
        await eventually(lambda: jobs[0].cancelled)
        await eventually(lambda: house.worker.running == 0)
        again = await house.submit("WAIT")
        door.open()
        done = await house.until(again, Status.COMPLETED)

        taken = await house.job(job_id)
        assert (taken.status, taken.crashes, taken.failures, taken.result) == ("retrying", 1, 0, None)
        assert done.attempt == 1
        assert [lease.id for lease in await house.leases()] == [house.worker.lease.worker_id]
        assert all(move.job_id != job_id or move.verb == "retry" for batch in house.store.settles for move in batch)


async def test_the_outcome_of_a_lost_attempt_is_dropped_even_if_its_handler_succeeds(
    registry: Registry, door: Door
) -> None:
    seen: list[Job] = []

    @registry.job("STUBBORN")
    def stubborn(payload: Payload, job: Job) -> str:
        seen.append(job)
        door.wait()
        return "too late"

    async with open_house(registry) as house:
        job_id = await house.submit("STUBBORN")
        await eventually(lambda: seen)
        old = await end_lease(house)
        await eventually(lambda: house.worker.lease.worker_id != old)

        door.open()
        await eventually(lambda: house.worker.running == 0)
        await house.beats(2)

        job = await house.job(job_id)
        assert (job.status, job.worker_id, house.store.settles) == ("processing", old, [])


async def test_one_job_that_was_taken_away_is_aborted_and_its_neighbours_go_on(
    registry: Registry, jobs: list[Job], door: Door
) -> None:
    async with open_house(registry) as house:
        taken, kept = await house.submit_many("WAIT", 2)
        await eventually(lambda: len(jobs) == 2)
        by_id = {job.id: job for job in jobs}
        house.store.refuse("claim")
        [attempt] = [a for a in house.worker._holding.attempts if a.id == taken]
        await house.worker._settler.release(taken, attempt.job.attempt)

        await eventually(lambda: by_id[taken].cancelled)
        assert not by_id[taken].lease_valid()
        assert not by_id[kept].cancelled
        assert by_id[kept].lease_valid()

        door.open()
        await house.until(kept, Status.COMPLETED)
        assert await house.status(taken) == "queued"


async def test_a_lease_is_valid_until_nobody_can_be_sure_any_more(
    registry: Registry, jobs: list[Job], door: Door
) -> None:
    settings = {"TREADLE_LEASE_SECONDS": "0.5", "TREADLE_HEARTBEAT_SECONDS": "0.1"}
    async with open_house(registry, settings) as house:
        await house.submit("WAIT")
        await eventually(lambda: jobs)
        await house.beats(8)
        assert jobs[0].lease_valid()  # longer than one lease: the beats have carried it

        house.store.refuse("beat")
        await eventually(lambda: not jobs[0].lease_valid())
        assert not jobs[0].cancelled  # nobody has said so: it only cannot be sure

        house.store.heal()
        await eventually(lambda: jobs[0].lease_valid())


async def test_a_lease_is_counted_from_when_the_beat_was_sent(registry: Registry, jobs: list[Job]) -> None:
    async with open_house(registry, {"TREADLE_HEARTBEAT_SECONDS": "0.6"}, is_started=False) as house:
        lease = house.worker.lease
        await lease.begin()
        gate = house.store.hold_answer("beat", times=1)
        before = house.runtime.clock.rising()
        beating = asyncio.create_task(lease.beat_once())
        await gate.reached.wait()
        sent_by = house.runtime.clock.rising()
        await eventually(lambda: house.runtime.clock.rising() > sent_by + 0.05)
        gate.open()
        await beating

        assert before + 2 <= lease.valid_until <= sent_by + 2


async def test_a_beat_that_breaks_is_not_the_last_one(registry: Registry, jobs: list[Job], door: Door) -> None:
    async with open_house(registry) as house:
        house.store.refuse("beat", times=2, error=StoreRefused("a bug of the store"))
        await house.beats(5)

        assert (await house.leases())[0].beat >= 1


async def test_a_release_that_breaks_does_not_stop_the_beats(registry: Registry, jobs: list[Job], door: Door) -> None:
    door.open()
    async with open_house(registry, is_started=False) as house:
        job_id = await house.submit("WAIT")
        house.store.lose_answer("claim", times=1)
        house.store.refuse("settle", times=1, error=ZeroDivisionError())
        await house.start()

        done = await house.until(job_id, Status.COMPLETED)

        assert done.attempt == 2


async def test_a_worker_that_starts_during_an_outage_waits_for_its_end(
    registry: Registry, jobs: list[Job], door: Door
) -> None:
    door.open()
    async with open_house(registry, is_started=False) as house:
        house.store.refuse("register_worker")
        job_id = await house.submit("WAIT")
        starting = asyncio.create_task(house.start())
        await eventually(lambda: house.store.calls["register_worker"] >= 2)
        assert not starting.done()

        house.store.heal()
        await starting

        await house.until(job_id, Status.COMPLETED)


async def test_a_registration_whose_answer_is_lost_makes_one_lease(registry: Registry) -> None:
    async with open_house(registry, is_started=False) as house:
        house.store.lose_answer("register_worker", times=1)
        await house.start()

        assert [lease.id for lease in await house.leases()] == [house.worker.lease.worker_id]
