"""The reaper: whoever stops beating loses his lease, then his jobs; whoever beats loses nothing, whatever fails."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from tests.builders import a_move
from tests.duties.conftest import LEASE, SWEEP, Ground
from treadle.duties.reaper import ORPHANS_SECONDS, Reaper
from treadle.errors import Unavailable
from treadle.ids import WorkerId
from treadle.job import ClaimedJob, StoredJob
from treadle.retry import Backoff
from treadle.service.claim import claim
from treadle.service.operate import cancel
from treadle.service.reap import BATCH, end_lease, take_back
from treadle.states import Status, Verb
from treadle.store.protocol import LATE_CLAIM_SECONDS


@pytest.fixture
def reaper(ground: Ground) -> Reaper:
    return Reaper(ground.runtime)


async def sweeps_without(ground: Ground, reaper: Reaper, count: int, *calls: str) -> None:
    """So many sweeps for which the store refuses ``calls``; then it is the next one's turn, and all goes through."""
    ground.store.refuse(*calls)
    for _ in range(count):
        ground.clock.advance(SWEEP)
        with pytest.raises(Unavailable):
            await reaper.reap_once()
    ground.store.heal()
    ground.clock.advance(SWEEP)


async def sweep(ground: Ground, reaper: Reaper, seconds: float, *beating: WorkerId) -> None:
    """Sweeps for that long; between two of them ``beating`` beat."""
    await reaper.reap_once()
    for _ in range(round(seconds / SWEEP)):
        ground.clock.advance(SWEEP)
        for worker_id in beating:
            await ground.beat(worker_id)
        await reaper.reap_once()


async def a_running_job(ground: Ground, **job: Any) -> tuple[WorkerId, ClaimedJob]:
    await ground.insert(**job)
    worker_id = await ground.a_worker()
    return worker_id, await ground.claimed_by(worker_id)


def errors_of(job: StoredJob) -> list[dict[str, Any]]:
    errors: list[dict[str, Any]] = msgspec.json.decode(job.errors)
    return errors


# ------------------------------------------------------------------------------- two steps


async def test_a_silent_worker_keeps_its_job_for_a_lease_and_not_longer(ground: Ground, reaper: Reaper) -> None:
    _, claimed = await a_running_job(ground)

    await sweep(ground, reaper, LEASE - SWEEP)
    assert (await ground.job(claimed.id)).status is Status.PROCESSING

    ground.clock.advance(SWEEP)
    await reaper.reap_once()
    job = await ground.job(claimed.id)
    assert (job.status, job.attempt, job.crashes, job.failures, job.worker_id) == ("retrying", 1, 1, 0, None)


async def test_a_crash_is_on_record_with_the_worker_that_died(ground: Ground, reaper: Reaper) -> None:
    worker_id, claimed = await a_running_job(ground)

    await sweep(ground, reaper, LEASE)

    [error] = errors_of(await ground.job(claimed.id))
    assert (error["kind"], error["attempt"], error["worker"]) == ("crash", 1, worker_id)
    assert error["startedAt"] < error["endedAt"]


async def test_the_lease_is_ended_before_any_job_is_taken_so_that_a_zombie_meets_its_death(
    ground: Ground, reaper: Reaper
) -> None:
    worker_id, claimed = await a_running_job(ground)
    await ground.insert()

    await sweep(ground, reaper, LEASE)

    # It wakes up: no beat, no claim, and no outcome of it counts any more.
    assert await ground.real_store.beat(worker_id, 1, ground.clock.now()) is None
    assert await claim(ground.runtime, worker_id, None, None, 10) == []
    [late] = await ground.real_store.settle([a_move(job_id=claimed.id, attempt=1)], ground.clock.now())
    assert late.status is None
    assert await ground.real_store.workers() == []


async def test_no_job_is_taken_where_the_lease_could_not_be_ended(ground: Ground, reaper: Reaper) -> None:
    _, claimed = await a_running_job(ground)
    await sweep(ground, reaper, LEASE - SWEEP)
    ground.store.refuse("end_worker", times=1)
    ground.clock.advance(SWEEP)

    with pytest.raises(Unavailable):
        await reaper.reap_once()

    assert (await ground.job(claimed.id)).status is Status.PROCESSING
    assert ground.store.calls["settle"] == 0


async def test_a_job_whose_lease_is_ended_is_taken_at_once(ground: Ground, reaper: Reaper) -> None:
    worker_id, claimed = await a_running_job(ground)
    await ground.real_store.end_worker(worker_id, None, ground.clock.now())

    await reaper.reap_once()

    assert (await ground.job(claimed.id)).status is Status.RETRYING


async def test_two_reapers_count_one_crash(ground: Ground, reaper: Reaper) -> None:
    _, claimed = await a_running_job(ground)
    other = Reaper(ground.runtime)
    for one in (reaper, other):
        await one.reap_once()
    for _ in range(3):
        ground.clock.advance(SWEEP)
        await asyncio.gather(reaper.reap_once(), other.reap_once())

    job = await ground.job(claimed.id)
    assert (job.crashes, len(errors_of(job))) == (1, 1)


async def test_a_full_batch_is_followed_by_the_next_one_at_once(ground: Ground, reaper: Reaper) -> None:
    worker_id = await ground.a_worker()
    await ground.insert_many(BATCH + 1)
    await claim(ground.runtime, worker_id, None, None, BATCH + 1)
    await ground.real_store.end_worker(worker_id, None, ground.clock.now())

    assert await reaper.reap_once() == 0.0
    assert (await ground.real_store.counts())[Status.PROCESSING] == 1

    assert await reaper.reap_once() == SWEEP
    assert (await ground.real_store.counts())[Status.RETRYING] == BATCH + 1


# ------------------------------------------------------------------- orphans are looked for where there may be some


async def an_idle_reaper(ground: Ground, reaper: Reaper, *beating: WorkerId) -> None:
    """It has looked for orphans since it began, and nothing has happened."""
    await sweep(ground, reaper, LATE_CLAIM_SECONDS, *beating)
    ground.store.calls.clear()


async def test_where_no_lease_ends_orphans_are_looked_for_once_a_minute(ground: Ground, reaper: Reaper) -> None:
    worker_id = await ground.a_worker()
    await an_idle_reaper(ground, reaper, worker_id)

    await sweep(ground, reaper, 10 * ORPHANS_SECONDS, worker_id)

    assert ground.store.calls["beats"] > 100
    assert 9 <= ground.store.calls["orphans"] <= 11


async def test_the_next_look_after_somebody_ended_a_lease_finds_its_jobs(ground: Ground, reaper: Reaper) -> None:
    worker_id, claimed = await a_running_job(ground)
    await an_idle_reaper(ground, reaper, worker_id)
    await ground.real_store.end_worker(worker_id, None, ground.clock.now())

    ground.clock.advance(SWEEP)
    await reaper.reap_once()

    assert (await ground.job(claimed.id)).status is Status.RETRYING


async def test_a_claim_committed_just_after_its_lease_ended_is_found_by_the_next_look(
    ground: Ground, reaper: Reaper
) -> None:
    worker_id, other = await ground.a_worker(), await ground.a_worker()
    await an_idle_reaper(ground, reaper, worker_id, other)
    await ground.real_store.end_worker(worker_id, None, ground.clock.now())
    await sweep(ground, reaper, LEASE, other)

    ended = await ground.a_worker()  # in the store it looks like a claim of the one that is gone
    await ground.insert()
    claimed = await ground.claimed_by(ended)
    await ground.real_store.end_worker(ended, None, ground.clock.now())
    ground.clock.advance(SWEEP)
    await reaper.reap_once()

    assert (await ground.job(claimed.id)).status is Status.RETRYING


async def test_jobs_of_a_worker_that_nobody_saw_are_found_too(ground: Ground, reaper: Reaper) -> None:
    other = await ground.a_worker()
    await an_idle_reaper(ground, reaper, other)
    unseen, claimed = await a_running_job(ground)
    await ground.real_store.end_worker(unseen, None, ground.clock.now())

    await sweep(ground, reaper, ORPHANS_SECONDS, other)

    assert (await ground.job(claimed.id)).status is Status.RETRYING


@pytest.mark.parametrize("method", ["beats", "orphans", "settle"])
async def test_what_ended_during_an_outage_is_found_after_it(ground: Ground, reaper: Reaper, method: str) -> None:
    worker_id, claimed = await a_running_job(ground)
    await an_idle_reaper(ground, reaper, worker_id)
    await ground.real_store.end_worker(worker_id, None, ground.clock.now())

    await sweeps_without(ground, reaper, 10, method)
    await reaper.reap_once()

    assert (await ground.job(claimed.id)).status is Status.RETRYING


# ------------------------------------------------------------------------- who beats lives


async def test_a_worker_that_beats_is_never_ended(ground: Ground, reaper: Reaper) -> None:
    worker_id, claimed = await a_running_job(ground)

    await sweep(ground, reaper, 20 * LEASE, worker_id)

    assert (await ground.job(claimed.id)).status is Status.PROCESSING


async def test_a_dead_worker_does_not_take_its_neighbour_along(ground: Ground, reaper: Reaper) -> None:
    _, dead_job = await a_running_job(ground)
    alive, living_job = await a_running_job(ground)

    await sweep(ground, reaper, 2 * LEASE, alive)

    assert (await ground.job(dead_job.id)).status is Status.RETRYING
    assert (await ground.job(living_job.id)).status is Status.PROCESSING
    assert [worker.id for worker in await ground.real_store.workers()] == [alive]


async def test_a_beat_between_the_look_and_the_end_saves_the_worker(ground: Ground, reaper: Reaper) -> None:
    worker_id, claimed = await a_running_job(ground)
    await sweep(ground, reaper, LEASE - SWEEP)
    ground.clock.advance(SWEEP)
    gate = ground.store.hold("end_worker", times=1)
    reaping = asyncio.create_task(reaper.reap_once())
    await gate.reached.wait()

    await ground.beat(worker_id)
    gate.open()
    await reaping

    assert (await ground.job(claimed.id)).status is Status.PROCESSING
    assert [worker.id for worker in await ground.real_store.workers()] == [worker_id]


async def test_ending_a_lease_is_guarded_by_the_counter_that_was_watched(ground: Ground) -> None:
    worker_id = await ground.a_worker()
    await ground.beat(worker_id)

    assert not await end_lease(ground.runtime, worker_id, 0)
    assert await end_lease(ground.runtime, worker_id, 1)
    assert not await end_lease(ground.runtime, worker_id, 1)


async def test_a_job_that_completed_after_the_reaper_read_it_stays_completed(ground: Ground) -> None:
    worker_id, claimed = await a_running_job(ground)
    await ground.real_store.end_worker(worker_id, None, ground.clock.now())
    gate = ground.store.hold("settle", times=1)
    reaping = asyncio.create_task(take_back(ground.runtime))
    await gate.reached.wait()

    await ground.real_store.settle([a_move(job_id=claimed.id, attempt=1)], ground.clock.now())
    gate.open()
    [refused] = await reaping

    job = await ground.job(claimed.id)
    assert (refused.status, job.status, job.crashes, job.result) == (None, "completed", 0, b"null")


async def test_a_job_that_runs_again_elsewhere_is_not_taken_for_its_past_attempt(ground: Ground) -> None:
    worker_id, claimed = await a_running_job(ground)
    await ground.real_store.end_worker(worker_id, None, ground.clock.now())
    gate = ground.store.hold("settle", times=1)
    reaping = asyncio.create_task(take_back(ground.runtime))
    await gate.reached.wait()

    release = a_move(job_id=claimed.id, attempt=1, verb=Verb.RELEASE, result=None)
    await ground.real_store.settle([release], ground.clock.now())
    other = await ground.a_worker()
    await ground.claimed_by(other)
    gate.open()
    await reaping

    job = await ground.job(claimed.id)
    assert (job.status, job.attempt, job.worker_id, job.crashes) == ("processing", 2, other, 0)


# -------------------------------------------------------------- an observer that knows nothing


async def test_while_the_store_is_away_nobody_is_lost(ground: Ground, reaper: Reaper) -> None:
    _, claimed = await a_running_job(ground)
    await sweep(ground, reaper, LEASE - SWEEP)
    ground.store.refuse("beats")
    for _ in range(4):  # nobody can beat meanwhile
        ground.clock.advance(1)
        with pytest.raises(Unavailable):
            await reaper.reap_once()

    ground.store.heal()
    ground.clock.advance(1)
    await sweep(ground, reaper, LEASE - SWEEP)

    assert (await ground.job(claimed.id)).status is Status.PROCESSING


@pytest.mark.parametrize("method", ["end_worker", "orphans", "settle"])
async def test_while_the_store_takes_no_writes_nobody_is_lost(ground: Ground, reaper: Reaper, method: str) -> None:
    """Looks succeed on a full disk; beats do not, and counters stand still."""
    _, claimed = await a_running_job(ground)
    ended = await ground.a_worker()
    await ground.insert()
    await ground.claimed_by(ended)
    await ground.real_store.end_worker(ended, None, ground.clock.now())
    ground.store.refuse(method)
    for _ in range(3):
        if method == "end_worker":
            await sweep(ground, reaper, LEASE - SWEEP)
            ground.clock.advance(SWEEP)
        with pytest.raises(Unavailable):
            await reaper.reap_once()
        ground.clock.advance(SWEEP)

    ground.store.heal()
    await reaper.reap_once()

    assert (await ground.job(claimed.id)).status is Status.PROCESSING


async def test_writes_that_come_back_just_before_the_lease_is_over_kill_nobody(ground: Ground, reaper: Reaper) -> None:
    """The disk was full for most of a lease: the worker's next beat is on its way when the reaper looks."""
    _, claimed = await a_running_job(ground)
    await reaper.reap_once()

    await sweeps_without(ground, reaper, 2, "beats", "beat", "end_worker", "settle")
    await reaper.reap_once()

    assert (await ground.job(claimed.id)).status is Status.PROCESSING


async def test_a_reaper_that_was_stopped_itself_starts_to_watch_anew(ground: Ground, reaper: Reaper) -> None:
    _, claimed = await a_running_job(ground)
    await sweep(ground, reaper, SWEEP)

    ground.clock.advance(10 * LEASE)
    await sweep(ground, reaper, LEASE - SWEEP)
    assert (await ground.job(claimed.id)).status is Status.PROCESSING

    ground.clock.advance(SWEEP)
    await reaper.reap_once()
    assert (await ground.job(claimed.id)).status is Status.RETRYING


async def test_a_sweep_a_little_late_is_no_gap(ground: Ground, reaper: Reaper) -> None:
    _, claimed = await a_running_job(ground)
    await reaper.reap_once()
    for _ in range(2):
        ground.clock.advance(2 * SWEEP)
        await reaper.reap_once()

    assert (await ground.job(claimed.id)).status is Status.RETRYING


async def test_a_read_that_takes_a_lease_is_not_a_silent_worker(ground: Ground) -> None:
    ground.runtime.settings = msgspec.structs.replace(ground.runtime.settings, sweep_seconds=2 * LEASE)
    reaper = Reaper(ground.runtime)
    worker_id, claimed = await a_running_job(ground)
    await reaper.reap_once()
    gate = ground.store.hold_answer("beats", times=1)
    looking = asyncio.create_task(reaper.reap_once())
    await gate.reached.wait()
    ground.clock.advance(LEASE)
    gate.open()
    await looking

    # Not even the guard could have saved it: its beat is late, and it is alive.
    assert [worker.id for worker in await ground.real_store.workers()] == [worker_id]
    assert (await ground.job(claimed.id)).status is Status.PROCESSING


# ------------------------------------------------------------------------------- two budgets


async def crash(ground: Ground) -> StoredJob:
    """Claim the one ready job and die."""
    worker_id = await ground.a_worker()
    claimed = await ground.claimed_by(worker_id)
    await ground.real_store.end_worker(worker_id, None, ground.clock.now())
    await take_back(ground.runtime)
    return await ground.job(claimed.id)


async def ready_again(ground: Ground) -> None:
    ground.clock.advance(3600)
    await ground.real_store.promote_due(100, ground.clock.now())


async def test_three_crashes_bury_a_job_as_poison(ground: Ground) -> None:
    job_id = await ground.insert(max_crashes=3)
    for crashes in (1, 2):
        job = await crash(ground)
        assert (job.status, job.crashes) == ("retrying", crashes)
        await ready_again(ground)

    job = await crash(ground)

    assert (job.id, job.status, job.crashes, job.failures, job.attempt) == (job_id, "dead", 3, 0, 3)
    assert [error["kind"] for error in errors_of(job)] == ["crash", "crash", "poison"]
    assert job.error is not None
    assert "poison" in job.error


async def test_failures_do_not_bring_a_job_closer_to_being_poison(ground: Ground) -> None:
    await ground.insert(max_crashes=2, max_attempts=25)
    for failures in (1, 2, 3):
        claimed = await ground.claimed_by(await ground.a_worker())
        assert claimed.failures == failures - 1
        move = a_move(job_id=claimed.id, attempt=claimed.attempt, verb=Verb.RETRY, failures=1, result=None, error="x")
        run_at = ground.clock.now()
        await ground.real_store.settle([msgspec.structs.replace(move, run_at=run_at)], run_at)
        await ready_again(ground)

    job = await crash(ground)

    assert (job.status, job.failures, job.crashes) == ("retrying", 3, 1)


async def test_crashes_do_not_bring_a_job_closer_to_failing(ground: Ground) -> None:
    await ground.insert(max_crashes=25, max_attempts=2)
    for _ in range(5):
        job = await crash(ground)
        assert (job.status, job.failures) == ("retrying", 0)
        await ready_again(ground)


async def test_the_pause_after_a_crash_doubles_within_its_bounds(ground: Ground) -> None:
    await ground.insert(max_crashes=25, backoff=Backoff(10.0, 60.0))
    for full in (10, 20, 40, 60, 60):
        job = await crash(ground)
        assert job.run_at is not None
        assert full / 2 <= (job.run_at - ground.clock.now()).total_seconds() <= full
        await ready_again(ground)


async def test_a_job_that_was_to_be_cancelled_is_cancelled_and_not_retried(ground: Ground) -> None:
    worker_id, claimed = await a_running_job(ground)
    await cancel(ground.runtime, claimed.id)
    await ground.real_store.end_worker(worker_id, None, ground.clock.now())

    [settled] = await take_back(ground.runtime)

    job = await ground.job(claimed.id)
    assert (settled.status, job.status, job.crashes, job.run_at) == ("cancelled", "cancelled", 1, None)


async def test_it_knows_how_many_workers_live(ground: Ground, reaper: Reaper) -> None:
    assert reaper.living == 0
    await ground.a_worker()
    silent = await ground.a_worker()
    await reaper.reap_once()
    assert reaper.living == 2
    await end_lease(ground.runtime, silent, 0)
    await reaper.reap_once()
    assert reaper.living == 1
