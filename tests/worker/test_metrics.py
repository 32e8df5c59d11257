"""What a worker counts: outcomes, claims, takes, leases, slots; and what the duties count beside it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.waiting import eventually
from tests.worker.house import Door, House, open_house
from treadle import NonRetryable, Park, Retry, Snooze
from treadle.errors import Unavailable
from treadle.jobtype import Registry
from treadle.service import operate
from treadle.service.prune import prune
from treadle.service.reap import end_lease, take_back
from treadle.states import Status

ENDS: dict[str, tuple[Exception | None, str]] = {
    "completes": (None, "completed"),
    "fails": (NonRetryable("no"), "failed"),
    "retries": (ValueError("not yet"), "retried"),
    "parks": (Park("a person is to decide"), "dead"),
    "snoozes": (Snooze(3600), "snoozed"),
}


def counted(house: House, outcome: str, type_name: str = "TEST") -> float:
    return house.runtime.metrics.jobs.value(type_name, "default", outcome)


@pytest.mark.parametrize("end", ENDS)
async def test_every_end_of_an_attempt_is_counted_once(registry: Registry, end: str) -> None:
    error, outcome = ENDS[end]

    @registry.job("TEST", retry=Retry(attempts=2, base_seconds=600))
    async def handle(payload: dict[str, Any]) -> None:
        if error is not None:
            raise error

    async with open_house(registry) as house:
        await house.submit("TEST")
        await eventually(lambda: counted(house, outcome))
        told = {name: counted(house, name) for name in ("submitted", "claimed", *(o for _, o in ENDS.values()))}

    assert told == {"submitted": 1, "claimed": 1, **{o: int(o == outcome) for _, o in ENDS.values()}}


async def test_what_operators_do_is_counted_by_what_it_did(registry: Registry, door: Door) -> None:
    @registry.job("TEST")
    async def handle(payload: dict[str, Any]) -> None:
        await door.passed()

    async with open_house(registry, is_started=False) as house:
        job_id = await house.submit("TEST")
        await operate.cancel(house.runtime, job_id)
        await operate.requeue(house.runtime, job_id)
        assert (counted(house, "cancelled"), counted(house, "requeued")) == (1, 1)
        await house.start()
        await eventually(lambda: door.entered)
        await operate.cancel(house.runtime, job_id)  # it is only asked to stop
        assert counted(house, "cancelled") == 1
        await house.until(job_id, Status.CANCELLED)
        await eventually(lambda: counted(house, "cancelled") == 2)


async def test_claims_are_counted_by_what_they_went_by_and_what_came_of_them(registry: Registry) -> None:
    @registry.job("TEST")
    async def handle(payload: dict[str, Any]) -> None: ...

    async with open_house(registry) as house:
        claims, takes = house.runtime.metrics.claims, house.runtime.metrics.takes
        await eventually(lambda: claims.value("scan", "empty") and takes.value("empty"))
        await house.submit("TEST")
        await eventually(lambda: claims.value("hints", "jobs") + claims.value("scan", "jobs"))
        house.store.refuse("claim", times=1)
        await eventually(lambda: claims.value("hints", "error") + claims.value("scan", "error"))


async def test_slots_are_told_as_they_are_used(registry: Registry, door: Door) -> None:
    @registry.job("TEST")
    async def handle(payload: dict[str, Any]) -> None:
        await door.passed()

    async with open_house(registry) as house:
        used = house.runtime.metrics.slots_used
        assert used.read().series == {(): (0,)}
        await house.submit_many("TEST", 3)
        await eventually(lambda: used.read().series == {(): (3,)})
        assert house.runtime.metrics.slots.read().series == {(): (4,)}
        door.open()
        await eventually(lambda: used.read().series == {(): (0,)})


async def test_a_lost_lease_and_what_was_taken_back_are_counted(registry: Registry, door: Door) -> None:
    @registry.job("TEST")
    async def handle(payload: dict[str, Any]) -> None:
        await door.passed()

    async with open_house(registry, {"TREADLE_HEARTBEAT_SECONDS": "0.5"}) as house:
        metrics = house.runtime.metrics
        await house.submit("TEST")
        await eventually(lambda: door.entered)
        [lease] = await house.leases()

        assert await end_lease(house.runtime, lease.id, lease.beat)
        await take_back(house.runtime)

        assert (metrics.leases_ended.value(), metrics.taken_back.value()) == (1, 1)
        assert counted(house, "retried") == 1
        await eventually(lambda: metrics.leases_lost.value() == 1)
        door.open()


async def test_a_commit_that_is_sent_again_is_counted_as_that_and_its_jobs_once(registry: Registry) -> None:
    @registry.job("TEST")
    async def handle(payload: dict[str, Any]) -> None: ...

    async with open_house(registry, is_started=False) as house:
        house.store.lose_answer("insert", times=2)
        await house.submit("TEST")
        assert house.runtime.metrics.store_repeats.value("unknown") == 2
        assert counted(house, "submitted") == 1


async def test_what_the_pruner_deletes_is_counted_by_status(registry: Registry) -> None:
    @registry.job("TEST")
    async def handle(payload: dict[str, Any]) -> None: ...

    settings = {"TREADLE_RETENTION_COMPLETED_DAYS": "0.000001", "TREADLE_RETENTION_CANCELLED_DAYS": "0.000001"}
    async with open_house(registry, settings) as house:
        await house.until(await house.submit("TEST"), Status.COMPLETED)
        later = await house.submit("TEST", delay_seconds=3600)
        await operate.cancel(house.runtime, later)

        async def both_are_gone() -> bool:
            await prune(house.runtime)
            return not await house.real_store.statuses([later]) and not await house.count(Status.COMPLETED)

        await eventually(both_are_gone)
        pruned = house.runtime.metrics.pruned
        assert {s: pruned.value(s) for s in ("completed", "failed", "dead", "cancelled")} == {
            "completed": 1,
            "failed": 0,
            "dead": 0,
            "cancelled": 1,
        }


async def test_waiting_is_measured_from_ready_to_claimed(registry: Registry) -> None:
    @registry.job("TEST")
    async def handle(payload: dict[str, Any]) -> None: ...

    async with open_house(registry, is_started=False) as house:
        await house.submit("TEST")
        before = house.runtime.clock.now()
        await eventually(lambda: house.runtime.clock.now() - before > timedelta(seconds=0.05))
        await house.start()
        await eventually(lambda: counted(house, "claimed"))
        *counts, total = house.runtime.metrics.wait_seconds.read().series[("default", "default")]
        assert sum(counts) == 1
        assert 0.05 < total < 60


async def test_errors_of_the_store_are_counted_by_call_and_kind(registry: Registry) -> None:
    async with open_house(registry, is_started=False) as house:
        await house.real_store.aclose()
        with pytest.raises(Unavailable):
            await house.real_store.queues()
        assert house.runtime.metrics.store_errors.value("queues", "unavailable") == 1
