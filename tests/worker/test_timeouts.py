"""Time limits: what can be stopped is stopped, what cannot keeps its job for the overrun, and never longer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.waiting import eventually
from tests.worker.attempts import an_attempt
from tests.worker.house import Door, open_house
from treadle.context import Job
from treadle.jobtype import Registry
from treadle.outcome import Aborted, Failed, Outcome, Park, Parked, Released, Snooze, Succeeded
from treadle.worker.attempt import Attempt, StopReason
from treadle.worker.executor import Executor
from treadle.worker.handlers import HandlerLoop, HandlerThreads

Payload = dict[str, Any]
SHORT = 0.05
"""A timeout that is there to be passed."""


@pytest.fixture
async def loop() -> AsyncIterator[HandlerLoop]:
    loop = HandlerLoop()
    loop.start()
    yield loop
    loop.stop()


@pytest.fixture
async def executor(registry: Registry, loop: HandlerLoop) -> Executor:
    """Patient: the overrun is never reached."""
    return Executor(registry, loop, HandlerThreads(), overrun_seconds=30)


@pytest.fixture
async def impatient(registry: Registry, loop: HandlerLoop) -> Executor:
    return Executor(registry, loop, HandlerThreads(), overrun_seconds=SHORT)


async def run(executor: Executor, attempt: Attempt) -> Outcome:
    return await asyncio.wait_for(executor.run(attempt), 60)


def assert_timed_out(outcome: Outcome) -> None:
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.retryable) == ("timeout", True)


async def test_an_async_handler_is_interrupted_at_its_timeout(executor: Executor, registry: Registry) -> None:
    interrupted = threading.Event()

    @registry.job("TEST")
    async def handle(payload: Payload) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            interrupted.set()
            raise

    outcome = await run(executor, an_attempt(timeout_seconds=SHORT))

    assert_timed_out(outcome)
    assert interrupted.is_set()
    assert executor.stuck == 0


async def test_a_plain_handler_sees_its_timeout_in_job_cancelled(executor: Executor, registry: Registry) -> None:
    @registry.job("TEST")
    def handle(payload: Payload, job: Job) -> None:
        while not job.cancelled:
            threading.Event().wait(0.01)
        raise ValueError("stopped by itself")

    assert_timed_out(await run(executor, an_attempt(timeout_seconds=SHORT)))


async def test_a_result_that_comes_late_but_within_the_overrun_counts(
    executor: Executor, registry: Registry, door: Door
) -> None:
    @registry.job("TEST")
    def handle(payload: Payload) -> str:
        door.wait()
        return "late"

    attempt = an_attempt(timeout_seconds=SHORT)
    running = asyncio.create_task(run(executor, attempt))
    await eventually(attempt.is_cancelled)
    door.open()

    assert await running == Succeeded(b'"late"')


async def test_an_async_handler_that_swallows_its_interruption_may_still_return(
    executor: Executor, registry: Registry
) -> None:
    @registry.job("TEST")
    async def handle(payload: Payload) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "cleaned up"
        return "never"

    assert await run(executor, an_attempt(timeout_seconds=SHORT)) == Succeeded(b'"cleaned up"')


async def test_what_is_still_running_after_the_overrun_is_given_up_and_counted(
    impatient: Executor, registry: Registry, door: Door
) -> None:
    @registry.job("TEST")
    def handle(payload: Payload) -> str:
        door.wait()
        return "too late"

    outcome = await run(impatient, an_attempt(timeout_seconds=SHORT))

    assert_timed_out(outcome)
    assert impatient.stuck == 1


async def test_an_async_handler_that_never_ends_is_given_up_too(
    impatient: Executor, registry: Registry, door: Door
) -> None:
    @registry.job("TEST")
    async def handle(payload: Payload) -> None:
        while not door.entered:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await door.passed()

    outcome = await run(impatient, an_attempt(timeout_seconds=SHORT))

    assert_timed_out(outcome)
    assert impatient.stuck == 1
    assert door.entered


async def test_an_error_of_a_handler_that_was_given_up_disturbs_nobody(
    impatient: Executor, registry: Registry, door: Door
) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    ended = threading.Event()

    @registry.job("TEST")
    def handle(payload: Payload) -> None:
        try:
            door.wait()
            raise SystemExit
        finally:
            ended.set()

    await run(impatient, an_attempt(timeout_seconds=SHORT))
    door.open()
    await eventually(ended.is_set)
    await run(impatient, an_attempt(type="GONE"))  # the loop turns, and the thread serves on

    assert complaints == []


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        (StopReason.CANCEL, Aborted()),
        (StopReason.SHUTDOWN, Released()),
        (StopReason.LOST, Aborted()),
    ],
)
@pytest.mark.parametrize(
    "error", [None, ValueError("on the way out"), Snooze(3)], ids=["interrupted", "error", "snooze"]
)
async def test_the_reason_for_the_interruption_decides_its_outcome(
    executor: Executor, registry: Registry, door: Door, reason: StopReason, outcome: Outcome, error: Exception | None
) -> None:
    @registry.job("TEST")
    async def handle(payload: Payload) -> None:
        try:
            await door.passed()
        except asyncio.CancelledError:
            raise (error or asyncio.CancelledError()) from None

    attempt = an_attempt()
    running = asyncio.create_task(run(executor, attempt))
    await eventually(lambda: door.entered)
    attempt.stop(reason)

    assert await running == outcome


@pytest.mark.parametrize("reason", [StopReason.SHUTDOWN, StopReason.TIMEOUT])
async def test_a_job_that_its_handler_parks_while_it_is_stopped_is_parked(
    executor: Executor, registry: Registry, door: Door, reason: StopReason
) -> None:
    @registry.job("TEST")
    async def handle(payload: Payload) -> None:
        try:
            await door.passed()
        except asyncio.CancelledError:
            raise Park("the message may have gone out") from None

    attempt = an_attempt()
    running = asyncio.create_task(run(executor, attempt))
    await eventually(lambda: door.entered)
    attempt.stop(reason)

    assert await running == Parked("the message may have gone out")


async def test_an_attempt_that_was_stopped_before_it_began_never_begins(
    executor: Executor, registry: Registry, door: Door
) -> None:
    @registry.job("TEST")
    async def handle(payload: Payload) -> None:
        await door.passed()

    attempt = an_attempt()
    attempt.stop(StopReason.SHUTDOWN)

    assert await run(executor, attempt) == Released()
    assert door.entered == []


async def test_the_first_reason_stays_but_a_lost_job_overrides_it() -> None:
    attempt = an_attempt()

    attempt.stop(StopReason.TIMEOUT)
    attempt.stop(StopReason.CANCEL)
    assert attempt.stop_reason is StopReason.TIMEOUT

    attempt.stop(StopReason.LOST)
    attempt.stop(StopReason.SHUTDOWN)
    assert attempt.is_lost


# ------------------------------------------------------------------------- in a whole worker


async def test_a_handler_that_overruns_is_a_failure_its_slot_is_replaced_and_the_worker_is_worn_out(
    registry: Registry, door: Door
) -> None:
    @registry.job("STUCK", timeout=SHORT)
    def stuck(payload: Payload) -> None:
        door.wait()

    @registry.job("QUICK")
    def quick(payload: Payload) -> str:
        return "ran"

    async with open_house(registry, {"TREADLE_CONCURRENCY": "1", "TREADLE_OVERRUN_SECONDS": "0.05"}) as house:
        stuck_id = await house.submit("STUCK", max_attempts=1)
        failed = await house.until(stuck_id)
        completed = await house.until(await house.submit("QUICK"))

        assert (failed.status, failed.failures, failed.crashes, failed.attempt) == ("failed", 1, 0, 1)
        assert completed.result == b'"ran"'
        assert house.worker.is_worn_out


async def test_a_worker_is_worn_out_when_half_its_slots_have_stuck_handlers(registry: Registry, door: Door) -> None:
    @registry.job("STUCK", timeout=SHORT)
    def stuck(payload: Payload) -> None:
        door.wait()

    async with open_house(registry, {"TREADLE_OVERRUN_SECONDS": "0.05"}) as house:
        await house.until(await house.submit("STUCK", max_attempts=1))
        assert not house.worker.is_worn_out  # one of four

        await house.until(await house.submit("STUCK", max_attempts=1))
        assert house.worker.is_worn_out


async def test_a_handler_that_blocks_the_handlers_loop_does_not_stop_the_beats(registry: Registry, door: Door) -> None:
    @registry.job("BLOCK")
    async def block(payload: Payload) -> str:
        door.wait()
        return "done"

    async with open_house(registry) as house:
        job_id = await house.submit("BLOCK")
        await eventually(lambda: door.entered)
        beats = house.store.calls["beat"]
        await eventually(lambda: house.store.calls["beat"] >= beats + 5)
        [lease] = await house.leases()
        door.open()
        done = await house.until(job_id)

        assert lease.id == house.worker.lease.worker_id
        assert (done.status, done.attempt, done.crashes) == ("completed", 1, 0)
