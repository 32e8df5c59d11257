"""Stopping: what can finish finishes, the rest is given back unharmed, and the lease is ended."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tests.waiting import eventually
from tests.worker.house import Door, open_house
from treadle.context import Job
from treadle.jobtype import Registry
from treadle.outcome import Park
from treadle.states import Status
from treadle.worker import worker as worker_module

Payload = dict[str, Any]


@pytest.fixture(autouse=True)
def few_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "LAST_WORDS_SECONDS", 1.0)


@pytest.fixture
def at_the_door(registry: Registry, door: Door) -> Door:
    """WAIT is async and can be interrupted; BLOCK is a plain function and cannot."""

    @registry.job("WAIT")
    async def wait(payload: Payload, job: Job) -> int:
        await door.passed(job.attempt)
        return job.attempt

    @registry.job("BLOCK")
    def block(payload: Payload, job: Job) -> int:
        door.wait(job.attempt)
        return job.attempt

    return door


async def test_a_job_that_ends_within_the_grace_is_settled_and_nothing_new_is_claimed(
    registry: Registry, at_the_door: Door
) -> None:
    async with open_house(registry, {"TREADLE_CONCURRENCY": "1"}) as house:
        running = await house.submit("WAIT")
        await eventually(lambda: at_the_door.entered)
        waiting = await house.submit("WAIT")
        stopping = asyncio.create_task(house.stop(30))
        await house.beats(3)  # the lease is kept while the last jobs run

        at_the_door.open()
        await stopping

        done, left = await house.job(running), await house.job(waiting)
        assert (done.status, done.attempt) == ("completed", 1)
        assert (left.status, left.attempt) == ("queued", 0)
        assert await house.leases() == []


@pytest.mark.parametrize("type_name", ["WAIT", "BLOCK"])
async def test_a_job_that_outlasts_the_grace_is_released_and_no_budget_is_spent(
    registry: Registry, at_the_door: Door, type_name: str
) -> None:
    async with open_house(registry) as house:
        job_id = await house.submit(type_name)
        await eventually(lambda: at_the_door.entered)

        await house.stop(0.05)

        job = await house.job(job_id)
        assert (job.status, job.attempt, job.failures, job.crashes) == ("queued", 1, 0, 0)
        assert (job.error, job.worker_id, await house.leases()) == (None, None, [])
        assert job.queued_at is not None
        assert job.started_at is not None
        assert job.queued_at >= job.started_at  # at the tail of its line
        assert ("default", job.priority, job_id) in house.dispatch.announced[1:]


async def test_a_released_job_runs_elsewhere_with_the_next_attempt(registry: Registry, at_the_door: Door) -> None:
    async with open_house(registry) as house:
        job_id = await house.submit("BLOCK")
        await eventually(lambda: at_the_door.entered)
        await house.stop(0)

        house.worker = worker_module.Worker(house.runtime, "test")
        await house.start()
        await eventually(lambda: at_the_door.entered == [1, 2])
        at_the_door.open()

        job = await house.until(job_id, Status.COMPLETED)
        assert (job.attempt, job.result, job.crashes, job.failures) == (2, b"2", 0, 0)


async def test_many_jobs_are_released_with_few_commits(registry: Registry, at_the_door: Door) -> None:
    async with open_house(registry, {"TREADLE_CONCURRENCY": "100"}) as house:
        await house.submit_many("BLOCK", 100)
        await eventually(lambda: len(at_the_door.entered) == 100)

        await house.stop(0)

        assert await house.count(Status.QUEUED) == 100
        assert house.store.calls["settle"] <= 3


async def test_a_claim_that_is_out_when_the_stop_comes_leaves_nothing_behind(
    registry: Registry, at_the_door: Door
) -> None:
    async with open_house(registry, is_started=False) as house:
        job_id = await house.submit("WAIT")
        gate = house.store.hold_answer("claim", times=1)
        await house.start()
        await gate.reached.wait()

        await house.stop(5)

        job = await house.job(job_id)
        assert (job.status, job.attempt, job.crashes, at_the_door.entered) == ("queued", 1, 0, [])


async def test_a_second_stop_is_harmless(registry: Registry, at_the_door: Door) -> None:
    hooks: list[str] = []

    @registry.on_stop
    async def stop_hook() -> None:
        hooks.append("stopped")

    async with open_house(registry) as house:
        await house.submit("WAIT")
        await eventually(lambda: at_the_door.entered)

        await asyncio.wait_for(asyncio.gather(house.stop(0), house.stop(0)), 10)
        await asyncio.wait_for(house.stop(30), 1)

        assert hooks == ["stopped"]
        assert await house.leases() == []


async def test_a_worker_that_never_started_can_be_stopped(registry: Registry) -> None:
    hooks: list[str] = []

    @registry.on_stop
    async def stop_hook() -> None:
        hooks.append("stopped")

    async with open_house(registry, is_started=False) as house:
        await asyncio.wait_for(house.stop(30), 1)

    assert hooks == []


async def test_a_beat_that_meets_the_ended_lease_does_not_begin_a_new_one(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_house(registry) as house:
        gate = house.store.hold_answer("end_worker", times=1)
        stopping = asyncio.create_task(house.stop(0))
        await gate.reached.wait()
        with caplog.at_level(logging.ERROR, "treadle"):
            # Several heartbeats long, the lease is ended and the worker does not know.
            reached = house.runtime.clock.rising()
            await eventually(lambda: house.runtime.clock.rising() > reached + 0.4)
        gate.open()
        await stopping

        assert house.store.calls["register_worker"] == 1
        assert await house.leases() == []
        assert caplog.records == []


async def test_a_stop_during_an_outage_ends_all_the_same(registry: Registry, at_the_door: Door) -> None:
    async with open_house(registry) as house:
        job_id = await house.submit("WAIT")
        await eventually(lambda: at_the_door.entered)
        house.store.refuse()

        await asyncio.wait_for(house.stop(0.05), 10)

        assert await house.status(job_id) == "processing"  # for the reaper of somebody else
        assert len(await house.leases()) == 1


async def test_a_store_that_never_answers_does_not_keep_a_stopping_worker(
    registry: Registry, at_the_door: Door
) -> None:
    async with open_house(registry) as house:
        house.store.hold()

        await asyncio.wait_for(house.stop(0.05), 10)


async def test_a_job_that_its_handler_parks_while_the_worker_stops_is_parked(registry: Registry, door: Door) -> None:
    @registry.job("MAIL")
    async def mail(payload: Payload) -> None:
        try:
            await door.passed()
        except asyncio.CancelledError:
            raise Park("it may have gone out") from None

    async with open_house(registry) as house:
        job_id = await house.submit("MAIL")
        await eventually(lambda: door.entered)

        await house.stop(0)

        job = await house.job(job_id)
        assert (job.status, job.error) == ("dead", "it may have gone out")


async def test_what_an_interrupted_handler_returns_after_all_counts(registry: Registry, door: Door) -> None:
    @registry.job("TIDY")
    async def tidy(payload: Payload) -> str:
        try:
            await door.passed()
        except asyncio.CancelledError:
            return "tidied up"
        return "never"

    async with open_house(registry) as house:
        job_id = await house.submit("TIDY")
        await eventually(lambda: door.entered)

        await house.stop(0)

        job = await house.job(job_id)
        assert (job.status, job.result) == ("completed", b'"tidied up"')


async def test_stopping_with_nothing_to_do_takes_no_time(registry: Registry) -> None:
    async with open_house(registry) as house:
        await house.beats(1)

        await asyncio.wait_for(house.stop(30), 2)
