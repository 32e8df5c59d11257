"""How a worker finds work: by hints at once, without them all the same, and never more than it can run."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from tests.builders import a_new_job, a_submission
from tests.waiting import eventually, loop_turns
from tests.worker.house import Door, House, open_house
from treadle.errors import StoreRefused
from treadle.ids import JobId, new_job_id
from treadle.jobtype import Registry
from treadle.queue import Priority
from treadle.service import operate
from treadle.service.queues import pause, resume
from treadle.service.reap import take_back
from treadle.states import Status
from treadle.store.protocol import ClaimRequest
from treadle.testing import FaultyDispatch

Payload = dict[str, Any]
NO_SCANS = {"TREADLE_POLL_SECONDS": "600", "TREADLE_RECONCILE_SECONDS": "600"}
"""After the scan at the start, only a hint or a full scan is followed by a claim."""
ONE_SLOT = {"TREADLE_CONCURRENCY": "1"}


@pytest.fixture
def started(registry: Registry) -> list[int]:
    """Numbers of the payloads that RUN was started with, in order."""
    started: list[int] = []

    @registry.job("RUN")
    async def run(payload: Payload) -> None:
        started.append(payload.get("n", -1))

    return started


@pytest.fixture
def at_the_door(registry: Registry, door: Door) -> Door:
    """WAIT stands at the door."""

    @registry.job("WAIT")
    async def wait(payload: Payload) -> None:
        await door.passed(payload.get("n"))

    return door


async def insert_without_a_hint(house: House, **job: Any) -> JobId:
    new = a_new_job(**job)
    await house.real_store.insert([a_submission(new)], house.runtime.clock.now())
    return new.id


# -------------------------------------------------------------------------------------- hints


async def test_a_hint_starts_a_job_at_once_and_by_its_id(registry: Registry, started: list[int]) -> None:
    async with open_house(registry, NO_SCANS) as house:
        await eventually(lambda: house.store.claims)
        job_id = await house.submit("RUN")
        await house.until(job_id, Status.COMPLETED)

        assert [request.ids for request in house.store.claims] == [None, [job_id]]


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_without_any_hint_every_job_is_found_all_the_same(
    registry: Registry, started: list[int], concurrency: int
) -> None:
    async with open_house(registry, {"TREADLE_CONCURRENCY": str(concurrency)}) as house:
        house.dispatch.drops = True
        for job_id in await house.submit_many("RUN", 30):
            await house.until(job_id, Status.COMPLETED)

        assert sorted(started) == list(range(30))
        assert len(house.dispatch.announced) == 30


async def test_repeated_and_invented_hints_start_nothing_twice_and_nothing_early(
    registry: Registry, started: list[int]
) -> None:
    async with open_house(registry) as house:
        done = await house.submit("RUN", {"n": 100})
        await house.until(done, Status.COMPLETED)
        later = await house.submit("RUN", {"n": 200}, delay_seconds=3600)
        cancelled = await house.submit("RUN", {"n": 300}, delay_seconds=3600)
        await operate.cancel(house.runtime, cancelled)
        house.dispatch.copies = 3
        house.dispatch.invented = [done, later, cancelled, new_job_id(), JobId("no id at all")]

        for job_id in await house.submit_many("RUN", 40):
            assert (await house.until(job_id, Status.COMPLETED)).attempt == 1

        assert Counter(started) == Counter([100, *range(40)])
        assert (await house.status(later), await house.status(cancelled)) == ("scheduled", "cancelled")


@pytest.mark.parametrize("drops", [False, True], ids=["hints", "scans"])
async def test_a_free_worker_takes_high_before_default_and_keeps_their_order(
    registry: Registry, started: list[int], at_the_door: Door, drops: bool
) -> None:
    async with open_house(registry, ONE_SLOT) as house:
        house.dispatch.drops = drops
        await house.submit("WAIT")
        await eventually(lambda: at_the_door.entered)
        jobs = [await house.submit("RUN", {"n": n}, priority=Priority.DEFAULT) for n in (3, 4, 5)]
        jobs += [await house.submit("RUN", {"n": n}, priority=Priority.HIGH) for n in (0, 1, 2)]

        at_the_door.open()
        for job_id in jobs:
            await house.until(job_id, Status.COMPLETED)

        assert started == [0, 1, 2, 3, 4, 5]


async def test_a_broken_dispatch_costs_time_and_no_job(registry: Registry, started: list[int]) -> None:
    async with open_house(registry) as house:
        house.dispatch.take_error = RuntimeError("a bug of somebody's client")
        for job_id in await house.submit_many("RUN", 10):
            await house.until(job_id, Status.COMPLETED)

        house.dispatch.take_error = None
        await house.until(await house.submit("RUN"), Status.COMPLETED)


@pytest.mark.parametrize("error", [StoreRefused("a bug of the store"), ValueError("a bug of ours")])
async def test_a_claim_that_breaks_is_not_the_last_one(
    registry: Registry, started: list[int], error: Exception
) -> None:
    async with open_house(registry, is_started=False) as house:
        house.store.refuse("claim", times=2, error=error)
        await house.start()

        await house.until(await house.submit("RUN"), Status.COMPLETED)


async def test_claims_go_on_after_an_outage(registry: Registry, started: list[int]) -> None:
    async with open_house(registry) as house:
        house.store.refuse("claim")
        job_id = await house.submit("RUN")
        refused = house.store.calls["claim"]
        await eventually(lambda: house.store.calls["claim"] >= refused + 2)
        assert await house.status(job_id) == "queued"

        house.store.heal("claim")

        await house.until(job_id, Status.COMPLETED)


# -------------------------------------------------------------------------------------- slots


async def test_no_more_is_claimed_than_idle_slots_can_take(registry: Registry, at_the_door: Door) -> None:
    async with open_house(registry, {"TREADLE_CONCURRENCY": "3"}) as house:
        ids = await house.submit_many("WAIT", 12)
        await eventually(lambda: len(at_the_door.entered) == 3)
        await house.beats(5)

        assert await house.count(Status.PROCESSING) == 3
        assert house.worker.running == 3

        at_the_door.open()
        for job_id in ids:
            await house.until(job_id, Status.COMPLETED)
        assert max(request.limit for request in house.store.claims) == 3


async def test_a_claim_asks_for_the_idle_slots_alone(registry: Registry, at_the_door: Door) -> None:
    async with open_house(registry) as house:
        await house.submit_many("WAIT", 3)
        await eventually(lambda: len(at_the_door.entered) == 3)
        before = len(house.store.claims)
        await eventually(lambda: len(house.store.claims) >= before + 3)

        assert {request.limit for request in house.store.claims[before + 1 :]} == {1}


async def test_a_full_scan_is_followed_by_another_one(registry: Registry, started: list[int]) -> None:
    async with open_house(registry, {**NO_SCANS, "TREADLE_CONCURRENCY": "2"}, is_started=False) as house:
        house.dispatch.drops = True
        ids = await house.submit_many("RUN", 21)

        await house.start()

        for job_id in ids:
            await house.until(job_id, Status.COMPLETED)


async def test_a_job_without_a_hint_is_found_while_hints_keep_coming(registry: Registry) -> None:
    found = asyncio.Event()
    loop = asyncio.get_running_loop()

    @registry.job("LOST")
    async def lost(payload: Payload) -> None:
        loop.call_soon_threadsafe(found.set)

    @registry.job("AGAIN")
    async def again(payload: Payload) -> None: ...

    settings = {"TREADLE_POLL_SECONDS": "600", "TREADLE_RECONCILE_SECONDS": "0.3", "TREADLE_CONCURRENCY": "2"}
    async with open_house(registry, settings) as house:

        async def keep_hinting() -> None:
            while not found.is_set():
                await house.until(await house.submit("AGAIN"), Status.COMPLETED)

        hinting = asyncio.create_task(keep_hinting())
        await eventually(lambda: house.store.calls["claim"] > 5)
        await insert_without_a_hint(house, type="LOST")

        await asyncio.wait_for(found.wait(), 10)
        await hinting
        assert sum(request.ids is not None for request in house.store.claims) > 5


class EmptyHanded(FaultyDispatch):
    """Never has anything, and remembers how long it was asked to wait."""

    async def take(self, queues: Sequence[str] | None, limit: int, timeout_seconds: float) -> list[JobId]:
        self.waits.append(timeout_seconds)
        await loop_turns(1)
        return []

    @property
    def waits(self) -> list[float]:
        waits: list[float] = self.__dict__.setdefault("_waits", [])
        return waits


async def test_empty_scans_back_off_with_jitter_up_to_the_reconcile_interval(registry: Registry) -> None:
    settings = {"TREADLE_POLL_SECONDS": "20", "TREADLE_RECONCILE_SECONDS": "100"}
    async with open_house(registry, settings, is_started=False) as house:
        dispatch = EmptyHanded(house.dispatch)
        house.runtime.dispatch = dispatch
        await house.start()
        await eventually(lambda: len(dispatch.waits) >= 40)

    # The scan at the start came back empty, too: the first wait is twice the poll interval.
    for wait, longest in zip(dispatch.waits, [40, 80, *[100] * 38], strict=False):
        assert longest / 2 <= wait <= longest
    assert len(set(dispatch.waits)) == len(dispatch.waits)


# ------------------------------------------------------------------------------ what is left


async def test_a_paused_queue_is_left_alone_until_it_is_resumed(registry: Registry, started: list[int]) -> None:
    @registry.job("ELSEWHERE", queue="other")
    async def elsewhere(payload: Payload) -> None: ...

    async with open_house(registry) as house:
        await pause(house.runtime, "default")
        waiting = await house.submit("RUN", priority=Priority.HIGH)
        await house.until(await house.submit("ELSEWHERE"), Status.COMPLETED)
        await house.beats(5)
        assert (await house.status(waiting), started) == ("queued", [])

        await resume(house.runtime, "default")

        await house.until(waiting, Status.COMPLETED)


async def test_a_type_nobody_here_knows_is_left_for_others(registry: Registry, started: list[int]) -> None:
    async with open_house(registry, {"TREADLE_PAYLOAD_VALIDATION": "lenient", **ONE_SLOT}) as house:
        foreign = await house.submit("UNKNOWN", priority=Priority.HIGH)
        await house.until(await house.submit("RUN"), Status.COMPLETED)
        await house.beats(3)

        left = await house.job(foreign)
        assert (left.status, left.attempt) == ("queued", 0)


async def test_a_worker_serves_the_queues_it_was_told_and_no_other(registry: Registry, started: list[int]) -> None:
    @registry.job("IMAGE", queue="images")
    async def image(payload: Payload) -> None: ...

    async with open_house(registry, {"TREADLE_QUEUES": "images"}) as house:
        foreign = await house.submit("RUN")
        await house.until(await house.submit("IMAGE"), Status.COMPLETED)
        await house.beats(3)

        assert (await house.status(foreign), started) == ("queued", [])


# ---------------------------------------------------------------------- answers that are lost


async def test_a_job_whose_claim_was_never_answered_is_released_and_runs(
    registry: Registry, started: list[int]
) -> None:
    async with open_house(registry, is_started=False) as house:
        job_id = await house.submit("RUN")
        house.store.lose_answer("claim", times=1)
        await house.start()
        await eventually(lambda: house.store.calls["claim"] >= 1)
        beats = house.store.calls["beat"]

        done = await house.until(job_id, Status.COMPLETED)

        assert (done.attempt, done.failures, done.crashes, len(started)) == (2, 0, 0, 1)
        [[release], *_] = house.store.settles
        assert (release.verb, release.attempt) == ("release", 1)
        assert house.store.calls["beat"] - beats <= 6  # two to be sure, and a few for a busy machine


async def claim_unnoticed(house: House, job_id: JobId) -> None:
    """What a claim does that the server carries out after its connection was given up."""
    lease = house.worker.lease
    request = ClaimRequest(worker_id=lease.worker_id, limit=1, types=["RUN"], ids=[job_id])
    assert len(await house.real_store.claim(request, house.runtime.clock.now())) == 1


async def until_only_what_is_held_is_asked_for(house: House) -> None:
    await eventually(lambda: bool(house.store.looks) and house.store.looks[-1] is not None)


async def test_a_lost_answer_is_noticed_by_the_next_beats_although_most_ask_only_for_what_is_held(
    registry: Registry, started: list[int]
) -> None:
    async with open_house(registry, {"TREADLE_LEASE_SECONDS": "30"}) as house:
        await until_only_what_is_held_is_asked_for(house)
        house.store.lose_answer("claim", times=1)
        job_id = await house.submit("RUN")
        await eventually(lambda: house.store.calls["claim"] >= 1)
        beats = house.store.calls["beat"]

        done = await house.until(job_id, Status.COMPLETED)

        assert (done.attempt, len(started)) == (2, 1)
        assert house.store.calls["beat"] - beats <= 6


async def test_a_claim_that_failed_and_was_done_all_the_same_a_little_later_is_noticed_too(
    registry: Registry, started: list[int]
) -> None:
    async with open_house(registry, {"TREADLE_LEASE_SECONDS": "30"}) as house:
        await until_only_what_is_held_is_asked_for(house)
        house.store.refuse("claim")
        job_id = await house.submit("RUN")
        await eventually(lambda: house.store.calls["claim"] >= 1)
        await house.beats(3)

        await claim_unnoticed(house, job_id)
        house.store.heal()

        assert (await house.until(job_id, Status.COMPLETED)).attempt == 2


async def test_what_no_claim_failed_for_is_noticed_within_a_few_leases(registry: Registry, started: list[int]) -> None:
    async with open_house(registry, {"TREADLE_LEASE_SECONDS": "0.5"}) as house:
        await until_only_what_is_held_is_asked_for(house)
        gate = house.store.hold("claim")
        await eventually(gate.reached.is_set)
        job_id = await house.submit("RUN")
        await claim_unnoticed(house, job_id)
        gate.open()

        assert (await house.until(job_id, Status.COMPLETED)).attempt == 2


async def test_a_beat_asks_for_what_is_held(registry: Registry, at_the_door: Door) -> None:
    async with open_house(registry, {"TREADLE_LEASE_SECONDS": "30"}) as house:
        ids = await house.submit_many("WAIT", 3)
        await eventually(lambda: len(at_the_door.entered) == 3)
        await house.beats(2)

        assert sorted(house.store.looks[-1] or ()) == sorted(ids)


async def test_a_claim_that_is_answered_late_is_not_released_meanwhile(registry: Registry, started: list[int]) -> None:
    async with open_house(registry, is_started=False) as house:
        job_id = await house.submit("RUN")
        gate = house.store.hold_answer("claim", times=1)
        await house.start()
        await gate.reached.wait()
        await house.beats(5)

        gate.open()

        done = await house.until(job_id, Status.COMPLETED)
        assert (done.attempt, len(started)) == (1, 1)


async def test_a_claim_of_a_lost_identity_is_not_run(registry: Registry, started: list[int]) -> None:
    async with open_house(registry, is_started=False) as house:
        job_id = await house.submit("RUN")
        gate = house.store.hold_answer("claim", times=1)
        await house.start()
        await gate.reached.wait()
        old = house.worker.lease.worker_id
        await house.real_store.end_worker(old, None, house.runtime.clock.now())
        await eventually(lambda: house.worker.lease.worker_id != old)

        gate.open()
        await house.until(await house.submit("RUN", {"n": 2}), Status.COMPLETED)  # it goes on, as somebody else
        await house.beats(3)

        left = await house.job(job_id)
        assert (left.status, left.worker_id, started) == ("processing", old, [2])
        [settled] = await take_back(house.runtime)
        assert (settled.job_id, settled.status) == (job_id, "retrying")


# ------------------------------------------------------------------------------------ settling


async def test_the_next_batch_is_claimed_and_run_while_the_last_one_is_being_settled(
    registry: Registry, started: list[int]
) -> None:
    async with open_house(registry, ONE_SLOT) as house:
        gate = house.store.hold("settle", times=1)
        first = await house.submit("RUN", {"n": 1})
        await gate.reached.wait()
        second = await house.submit("RUN", {"n": 2})

        await eventually(lambda: started == [1, 2])

        assert await house.status(first) == "processing"
        gate.open()
        for job_id in (first, second):
            await house.until(job_id, Status.COMPLETED)


async def test_what_became_ready_first_runs_first(registry: Registry, started: list[int], at_the_door: Door) -> None:
    async with open_house(registry, ONE_SLOT) as house:
        await house.submit("WAIT")
        await eventually(lambda: at_the_door.entered)
        house.dispatch.drops = True
        now = house.runtime.clock.now()
        for n in (2, 0, 1):  # ids rise in this order, times do not
            new = a_new_job(type="RUN", payload=b'{"n":%d}' % n)
            await house.real_store.insert([a_submission(new)], now + timedelta(seconds=n - 10))

        at_the_door.open()

        await eventually(lambda: started == [0, 1, 2])


@pytest.mark.parametrize("trouble", ["hold", "refuse"])
async def test_a_worker_whose_outcomes_are_not_taken_stops_claiming(registry: Registry, trouble: str) -> None:
    # Else it would run through the whole queue, and whoever ends it then has all of it run again.
    @registry.job("RUN")
    async def run(payload: dict[str, Any]) -> None:
        return None

    async with open_house(registry, is_started=False) as house:
        ids = await house.submit_many("RUN", 60)
        getattr(house.store, trouble)("settle")
        await house.start()
        await eventually(lambda: house.store.calls["settle"] > 0)
        await house.beats(8)

        assert await house.count(Status.PROCESSING) <= 3 * house.runtime.settings.concurrency

        house.store.heal()
        for job_id in ids:
            assert (await house.until(job_id)).attempt == 1


async def test_room_that_is_gone_again_when_the_worker_wakes_is_no_room(registry: Registry) -> None:
    # An outcome is taken, which makes room and wakes the claims; before they run, a handler ends and fills it again.
    @registry.job("RUN")
    async def run(payload: dict[str, Any]) -> None:
        return None

    async with open_house(registry, is_started=False) as house:
        await house.submit_many("RUN", 60)
        house.store.hold("settle")
        await house.start()
        await house.beats(8)
        claims = len(house.store.claims)

        room = house.worker._runner._has_room
        room.set()
        room.clear()
        await house.beats(2)

        assert len(house.store.claims) == claims
        assert min(request.limit for request in house.store.claims) > 0
