"""Cancelling: a request reaches a running handler at the next beat, and nothing that happens later forgets it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.waiting import eventually
from tests.worker.house import Door, errors_of, open_house
from treadle.context import Job
from treadle.jobtype import Registry
from treadle.outcome import NonRetryable, Park, Snooze
from treadle.service.operate import cancel
from treadle.service.reap import take_back
from treadle.states import Status

Payload = dict[str, Any]


async def test_a_running_async_handler_is_interrupted(registry: Registry, door: Door) -> None:
    interrupted = threading.Event()

    @registry.job("WAIT")
    async def wait(payload: Payload) -> None:
        try:
            await door.passed()
        except asyncio.CancelledError:
            interrupted.set()
            raise

    async with open_house(registry) as house:
        job_id = await house.submit("WAIT")
        await eventually(lambda: door.entered)

        assert await cancel(house.runtime, job_id) is Status.PROCESSING
        job = await house.until(job_id)

    assert (job.status, job.attempt, job.failures, job.crashes) == ("cancelled", 1, 0, 0)
    assert interrupted.is_set()
    assert job.result is None


async def test_a_running_plain_handler_sees_the_request_when_it_looks(registry: Registry, door: Door) -> None:
    @registry.job("POLL")
    def poll(payload: Payload, job: Job) -> str:
        door.entered.append(job.attempt)
        while not job.cancelled:
            threading.Event().wait(0.005)
        raise RuntimeError("stopped half-way")

    async with open_house(registry) as house:
        job_id = await house.submit("POLL")
        await eventually(lambda: door.entered)
        await cancel(house.runtime, job_id)
        job = await house.until(job_id)

    assert (job.status, job.failures) == ("cancelled", 0)


async def test_a_handler_that_finishes_in_spite_of_the_request_has_completed(registry: Registry, door: Door) -> None:
    @registry.job("WAIT")
    def wait(payload: Payload, job: Job) -> str:
        door.entered.append(None)
        while not job.cancelled:
            threading.Event().wait(0.005)
        return "done all the same"

    async with open_house(registry) as house:
        job_id = await house.submit("WAIT")
        await eventually(lambda: door.entered)
        await cancel(house.runtime, job_id)
        job = await house.until(job_id)

    assert (job.status, job.result) == ("completed", b'"done all the same"')


def raises(error: BaseException) -> Callable[[], Any]:
    def work() -> Any:
        raise error

    return work


@pytest.mark.parametrize(
    "error",
    [ValueError("broken"), NonRetryable("for good"), Snooze(1), Park("look"), SystemExit()],
    ids=lambda error: type(error).__name__,
)
async def test_no_way_out_of_a_handler_forgets_a_request_it_never_noticed(
    registry: Registry, door: Door, error: BaseException
) -> None:
    @registry.job("WAIT")
    def wait(payload: Payload) -> None:
        door.wait()
        raise error

    # No beat tells of the request: only the settle meets it.
    async with open_house(registry, {"TREADLE_HEARTBEAT_SECONDS": "0.6"}) as house:
        job_id = await house.submit("WAIT")
        await eventually(lambda: door.entered)
        await cancel(house.runtime, job_id)
        door.open()
        job = await house.until(job_id)

    assert (job.status, job.attempt, job.run_at) == ("cancelled", 1, None)


async def test_a_crash_does_not_forget_the_request(registry: Registry, door: Door) -> None:
    @registry.job("WAIT")
    def wait(payload: Payload) -> None:
        door.wait()

    async with open_house(registry) as house:
        job_id = await house.submit("WAIT")
        await eventually(lambda: door.entered)
        await cancel(house.runtime, job_id)
        await house.real_store.end_worker(house.worker.lease.worker_id, None, house.runtime.clock.now())
        await take_back(house.runtime)
        job = await house.job(job_id)
        door.open()

    assert (job.status, job.crashes) == ("cancelled", 1)
    assert [told["kind"] for told in errors_of(job)] == ["crash"]


async def test_a_release_at_shutdown_does_not_forget_the_request(registry: Registry, door: Door) -> None:
    @registry.job("WAIT")
    async def wait(payload: Payload) -> None:
        await door.passed()

    async with open_house(registry, {"TREADLE_HEARTBEAT_SECONDS": "0.6"}) as house:
        job_id = await house.submit("WAIT")
        await eventually(lambda: door.entered)
        await cancel(house.runtime, job_id)
        await house.stop(0)

        assert await house.status(job_id) == "cancelled"


async def test_a_cancelled_job_leaves_its_slot_to_the_next(registry: Registry, door: Door) -> None:
    @registry.job("WAIT")
    async def wait(payload: Payload) -> None:
        if payload["n"] == 0:
            await door.passed()

    async with open_house(registry, {"TREADLE_CONCURRENCY": "1"}) as house:
        first, second = await house.submit_many("WAIT", 2)
        await eventually(lambda: door.entered)
        await cancel(house.runtime, first)

        await house.until(second, Status.COMPLETED)
