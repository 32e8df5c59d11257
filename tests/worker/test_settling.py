"""What comes out of a handler reaches the store: over outages, over lost answers, once, and never as a lie."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from tests.builders import a_worker
from tests.waiting import eventually
from tests.worker.house import Door, House, errors_of, open_house
from treadle.clock import Clock
from treadle.context import Job
from treadle.errors import StoreRefused, Unavailable
from treadle.jobtype import Registry
from treadle.outcome import NonRetryable, Park, Snooze
from treadle.service.promote import promote_due
from treadle.states import Status, Verb
from treadle.store.protocol import ClaimRequest
from treadle.worker.attempt import Attempt
from treadle.worker.executor import _Run
from treadle.worker.lease import Lease

Payload = dict[str, Any]


@pytest.fixture
def starts(registry: Registry) -> list[int]:
    """Attempts of RUN that began, in order."""
    starts: list[int] = []

    @registry.job("RUN")
    async def run(payload: Payload, job: Job) -> str:
        starts.append(job.attempt)
        return "result"

    return starts


@pytest.fixture
def at_the_door(registry: Registry, door: Door) -> Door:
    @registry.job("WAIT")
    async def wait(payload: Payload, job: Job) -> str:
        await door.passed(job.attempt)
        return "result"

    return door


# ----------------------------------------------------------------------------------- outcomes


def raises(error: Exception) -> Callable[[], Any]:
    def work() -> Any:
        raise error

    return work


@pytest.mark.parametrize(
    ("work", "status", "failures", "kind"),
    [
        (lambda: {"rows": 3}, Status.COMPLETED, 0, None),
        (raises(ValueError("broken")), Status.RETRYING, 1, "ValueError"),
        (raises(NonRetryable("wrong account")), Status.FAILED, 1, "NonRetryable"),
        (raises(Park("look at this")), Status.DEAD, 0, "parked"),
        (raises(Snooze(3600)), Status.SCHEDULED, 0, None),
        (object, Status.FAILED, 1, "result_not_storable"),
    ],
    ids=["completed", "retrying", "failed", "dead", "scheduled", "not storable"],
)
async def test_every_outcome_ends_where_it_belongs(
    registry: Registry, work: Callable[[], Any], status: Status, failures: int, kind: str | None
) -> None:
    @registry.job("RUN")
    def run(payload: Payload) -> Any:
        return work()

    # No duty runs here, so that what is to run later stays where it was put.
    async with open_house(registry) as house:
        job = await house.until(await house.submit("RUN"), status)

    assert (job.attempt, job.failures, job.crashes) == (1, failures, 0)
    assert [error["kind"] for error in errors_of(job)] == ([] if kind is None else [kind])
    assert job.result == (b'{"rows":3}' if status is Status.COMPLETED else None)
    if kind is not None:
        [error] = errors_of(job)
        assert (error["attempt"], error["worker"]) == (1, house.worker.lease.worker_id)
        assert error["startedAt"] <= error["endedAt"]


async def test_a_retry_runs_again_and_its_budget_ends_it(registry: Registry) -> None:
    @registry.job("RUN")
    def run(payload: Payload, job: Job) -> None:
        raise ValueError(f"attempt {job.attempt}")

    async with open_house(registry) as house:
        job_id = await house.submit("RUN", max_attempts=3)

        async def promoted_to_the_end() -> bool:
            house.runtime.clock = an_hour_later(house)
            await promote_due(house.runtime)
            return (await house.status(job_id)) in {Status.FAILED}

        await eventually(promoted_to_the_end)
        job = await house.job(job_id)

    assert (job.attempt, job.failures, job.error) == (3, 3, "attempt 3")
    assert [error["message"] for error in errors_of(job)] == ["attempt 1", "attempt 2", "attempt 3"]


class Later:
    """A clock an hour ahead of another one: nothing is early any more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now() + timedelta(hours=1)

    def rising(self) -> float:
        return self._clock.rising()


def an_hour_later(house: House) -> Later:
    return house.runtime.clock if isinstance(house.runtime.clock, Later) else Later(house.runtime.clock)


# ------------------------------------------------------------------------------------ outages


async def test_during_an_outage_handlers_run_on_and_the_beat_goes_before_the_kept_outcome(
    registry: Registry, at_the_door: Door
) -> None:
    async with open_house(registry) as house:
        job_id = await house.submit("WAIT")
        await eventually(lambda: at_the_door.entered)
        house.store.refuse("beat", "settle", "claim", "note")
        await house.beats(3)
        at_the_door.open()
        await eventually(lambda: house.store.calls["settle"])
        await house.beats(2)
        assert await house.status(job_id) == "processing"
        assert house.store.calls["settle"] == 1  # not hammered: kept until a beat gets through

        house.store.written.clear()
        house.store.heal()
        job = await house.until(job_id, Status.COMPLETED)

    assert (job.attempt, job.failures, job.crashes, at_the_door.entered) == (1, 0, 0, [1])
    assert "beat" in house.store.written[: house.store.written.index("settle")]


async def test_many_outcomes_of_an_outage_are_settled_together(registry: Registry, at_the_door: Door) -> None:
    async with open_house(registry, {"TREADLE_CONCURRENCY": "50"}) as house:
        ids = await house.submit_many("WAIT", 50)
        await eventually(lambda: len(at_the_door.entered) == 50)
        house.store.refuse()
        at_the_door.open()
        await eventually(lambda: sum(map(len, house.store.settles)) == 50)
        await house.beats(2)
        house.store.settles.clear()

        house.store.heal()

        for job_id in ids:
            await house.until(job_id, Status.COMPLETED)
    assert len(house.store.settles) <= 3


async def test_a_worker_that_was_given_up_during_an_outage_drops_what_it_kept(
    registry: Registry, at_the_door: Door
) -> None:
    async with open_house(registry) as house:
        job_id = await house.submit("WAIT")
        await eventually(lambda: at_the_door.entered)
        house.store.refuse("beat", "settle", "claim")
        at_the_door.open()
        await eventually(lambda: house.store.calls["settle"])
        old = house.worker.lease.worker_id
        await house.real_store.end_worker(old, None, house.runtime.clock.now())

        house.store.heal()
        await eventually(lambda: house.worker.lease.worker_id != old)
        await house.beats(2)

        job = await house.job(job_id)
    assert (job.status, job.result, house.store.calls["settle"]) == ("processing", None, 1)


# -------------------------------------------------------------------------------- lost answers


async def test_a_settle_whose_answer_is_lost_is_sent_again_and_is_a_success(
    registry: Registry, starts: list[int]
) -> None:
    async with open_house(registry) as house:
        house.store.lose_answer("settle", times=2)
        job_id = await house.submit("RUN")
        await eventually(lambda: len(house.store.settles) == 3)
        await house.beats(3)
        job = await house.job(job_id)

    assert (job.status, job.attempt, job.result, starts) == ("completed", 1, b'"result"', [1])


async def test_a_failure_whose_answer_is_lost_is_counted_once(registry: Registry) -> None:
    @registry.job("RUN")
    def run(payload: Payload) -> None:
        raise ValueError

    async with open_house(registry) as house:
        house.store.lose_answer("settle", times=2)
        job_id = await house.submit("RUN")
        await eventually(lambda: len(house.store.settles) == 3)
        await house.beats(3)
        job = await house.job(job_id)

    assert (job.status, job.failures, len(errors_of(job))) == ("retrying", 1, 1)


async def test_an_attempt_that_is_past_changes_nothing(registry: Registry, at_the_door: Door) -> None:
    async with open_house(registry) as house:
        job_id = await house.submit("WAIT")
        await eventually(lambda: at_the_door.entered)
        gate = house.store.hold("settle", times=1)
        house.store.refuse("claim")
        at_the_door.open()
        await gate.reached.wait()
        # Meanwhile somebody gave the job up, and another attempt of it has begun elsewhere.
        [[move]] = house.store.settles
        release = msgspec.structs.replace(move, verb=Verb.RELEASE, result=None, artifacts=None)
        now = house.runtime.clock.now()
        await house.real_store.settle([release], now)
        await elsewhere(house)

        gate.open()
        await house.beats(3)
        job = await house.job(job_id)

    assert (job.status, job.attempt, job.result) == ("processing", 2, None)
    assert job.worker_id != house.worker.lease.worker_id


async def elsewhere(house: House) -> None:
    """Another worker, in no process of ours, claims what is ready."""
    other = a_worker()
    await house.real_store.register_worker(other)
    request = ClaimRequest(worker_id=other.id, limit=10, types=house.runtime.registry.names)
    assert await house.real_store.claim(request, house.runtime.clock.now())


# ---------------------------------------------------------------------- what cannot be settled


async def test_an_outcome_that_breaks_the_settling_is_a_failure_and_not_a_loop(
    registry: Registry, starts: list[int]
) -> None:
    async with open_house(registry) as house:
        house.store.refuse("settle", times=1, error=StoreRefused("a bug of the store"))
        job = await house.until(await house.submit("RUN", max_attempts=1))

    assert (job.status, job.failures, starts) == ("failed", 1, [1])
    assert [error["kind"] for error in errors_of(job)] == ["internal_error"]


async def test_a_snooze_that_was_made_endless_is_a_failure(registry: Registry) -> None:
    @registry.job("RUN")
    def run(payload: Payload) -> None:
        snooze = Snooze(1)
        snooze.seconds = 1e300
        raise snooze

    async with open_house(registry) as house:
        job = await house.until(await house.submit("RUN", max_attempts=1))

    assert (job.status, job.failures) == ("failed", 1)


async def test_a_broken_settle_costs_its_own_batch_and_not_the_worker(registry: Registry, starts: list[int]) -> None:
    async with open_house(registry) as house:
        house.store.refuse("settle", times=2, error=ZeroDivisionError())
        broken = await house.submit("RUN")
        await eventually(lambda: house.store.calls["settle"] >= 2)

        # The outcome is dropped, so the job is released and runs again.
        assert (await house.until(broken, Status.COMPLETED)).attempt == 2
        await house.until(await house.submit("RUN"), Status.COMPLETED)


async def test_a_start_that_breaks_costs_the_attempt_and_not_the_slot(
    registry: Registry, starts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(registry, {"TREADLE_CONCURRENCY": "1"}) as house:
        begin = _Run.__init__

        def broken(run: _Run, attempt: Attempt, *others: Any) -> None:
            if attempt.job.payload == b'{"n":0}':
                raise RuntimeError("a bug of ours")
            begin(run, attempt, *others)

        monkeypatch.setattr(_Run, "__init__", broken)
        ids = await house.submit_many("RUN", 2, max_attempts=1)

        failed = await house.until(ids[0])
        await house.until(ids[1], Status.COMPLETED)

    assert [error["kind"] for error in errors_of(failed)] == ["internal_error"]


async def test_waiting_for_a_beat_means_one_that_succeeds_after_the_call(registry: Registry) -> None:
    async with open_house(registry, {"TREADLE_HEARTBEAT_SECONDS": "0.6"}, is_started=False) as house:
        lease: Lease = house.worker.lease
        await lease.begin()
        await lease.beat_once()
        waiting = asyncio.create_task(lease.next_beat())

        house.store.refuse("beat", times=1, error=Unavailable())
        assert not await lease.beat_once()
        assert not waiting.done()

        assert await lease.beat_once()
        await asyncio.wait_for(waiting, 5)
