"""Reaping: end the lease, then take back what it held. Two guarded steps, for any number of reapers at once."""

from __future__ import annotations

import asyncio

import pytest

from tests.builders import a_new_job, an_attempt_error
from tests.conformance.steps import (
    a_worker_in,
    at,
    claim,
    crash,
    errors_of,
    insert,
    inserted,
    move,
    one_of_each,
    operate,
    read,
    read_all,
    scan,
    settle,
    started,
    statuses,
)
from treadle.ids import WorkerId
from treadle.job import Orphan
from treadle.retry import Backoff
from treadle.states import Status, Verb
from treadle.store.protocol import Move, Store


def taken_back(orphan: Orphan) -> Move:
    """What a reaper makes of an orphan."""
    lost = an_attempt_error(attempt=orphan.attempt, kind="crash", worker=orphan.worker_id)
    return move(orphan.id, orphan.attempt, Verb.RETRY, failures=0, crashes=1, run_at=at(25), failure=lost)


async def test_nothing_is_an_orphan_while_the_lease_lives(store: Store, worker_id: WorkerId) -> None:
    await started(store, worker_id)
    await store.beat(worker_id, 1, at(2))

    assert await store.orphans(100) == []


async def test_a_beat_in_between_saves_the_worker_and_its_jobs(store: Store, worker_id: WorkerId) -> None:
    await started(store, worker_id)
    await store.beat(worker_id, 1, at(2))

    await store.end_worker(worker_id, 0, at(20))

    assert await store.orphans(100) == []


async def test_after_its_lease_ended_a_workers_jobs_are_orphans(store: Store, worker_id: WorkerId) -> None:
    job = a_new_job(type="TEST", max_crashes=5, backoff=Backoff(0.5, 4.0))
    await insert(store, job)
    await claim(store, worker_id, job.id, now=at(3))
    other = await started(store, await a_worker_in(store))

    await store.end_worker(worker_id, 0, at(20))

    [orphan] = await store.orphans(100)
    assert orphan == Orphan(
        id=job.id,
        type="TEST",
        attempt=1,
        crashes=0,
        max_crashes=5,
        backoff=Backoff(0.5, 4.0),
        started_at=at(3),
        worker_id=worker_id,
    )
    assert await statuses(store, [job.id, other.id]) == ["processing", "processing"]


async def test_of_jobs_in_every_state_exactly_the_running_ones_are_orphans(store: Store, worker_id: WorkerId) -> None:
    jobs = await one_of_each(store, worker_id)

    await store.end_worker(worker_id, None, at(20))

    running = {jobs["processing"], jobs["processing, cancel requested"]}
    assert {orphan.id for orphan in await store.orphans(100)} == running


async def test_orphans_come_in_portions(store: Store, worker_id: WorkerId) -> None:
    await insert(store, *(a_new_job() for _ in range(7)))
    await scan(store, worker_id)
    await store.end_worker(worker_id, 0, at(20))

    sizes = []
    while orphans := await store.orphans(3):
        sizes.append(len(orphans))
        await store.settle([taken_back(orphan) for orphan in orphans], at(21))

    assert sizes == [3, 3, 1]


async def test_a_job_that_is_taken_back_counts_a_crash_and_runs_again(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)
    await store.end_worker(worker_id, 0, at(20))

    [settled] = await store.settle([taken_back(orphan) for orphan in await store.orphans(100)], at(21))

    stored = await read(store, job.id)
    assert (settled.status, stored.run_at) == (Status.RETRYING, at(25))
    assert (stored.crashes, stored.failures, stored.attempt, stored.worker_id) == (1, 0, 1, None)
    assert [(error["kind"], error["worker"]) for error in errors_of(stored)] == [("crash", worker_id)]
    assert await store.orphans(100) == []
    await store.promote_due(10, at(25))
    [again] = await scan(store, await a_worker_in(store))
    assert (again.attempt, again.crashes) == (2, 1)


async def test_two_reapers_that_read_the_same_take_each_job_back_once(store: Store, worker_id: WorkerId) -> None:
    await insert(store, *(a_new_job() for _ in range(5)))
    await scan(store, worker_id)

    first, second = await asyncio.gather(
        store.end_worker(worker_id, 0, at(20)),
        store.end_worker(worker_id, 0, at(20)),
    )
    one, other = await store.orphans(100), await store.orphans(100)
    await store.settle([taken_back(orphan) for orphan in one], at(21))
    await store.settle([taken_back(orphan) for orphan in reversed(other)], at(22))

    assert {first, second} == {True, False}
    jobs = await read_all(store, [orphan.id for orphan in one])
    assert [(job.status, job.crashes, len(errors_of(job)), job.updated_at) for job in jobs] == [
        (Status.RETRYING, 1, 1, at(21))
    ] * 5


# ------------------------------------------------------------- a reaper that read too long ago (River #1302)


async def test_a_reaper_that_slept_while_the_job_completed_changes_nothing(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)
    await store.end_worker(worker_id, 0, at(20))
    orphans = await store.orphans(100)
    await settle(store, job.id, 1, Verb.COMPLETE, now=at(21), result=b'"done"')
    before = await read(store, job.id)

    [settled] = await store.settle([taken_back(orphan) for orphan in orphans], at(90))

    assert (settled.status, await read(store, job.id)) == (None, before)


async def test_a_reaper_that_slept_while_the_job_went_to_another_worker_changes_nothing(
    store: Store, worker_id: WorkerId
) -> None:
    job = await started(store, worker_id)
    await store.end_worker(worker_id, 0, at(20))
    orphans = await store.orphans(100)
    await store.settle([taken_back(orphan) for orphan in orphans], at(21))
    await store.promote_due(10, at(25))
    other = await a_worker_in(store)
    await claim(store, other, job.id, now=at(26))
    before = await read(store, job.id)

    [settled] = await store.settle([taken_back(orphan) for orphan in orphans], at(90))

    assert (settled.status, await read(store, job.id)) == (None, before)
    assert (before.status, before.worker_id, before.attempt) == (Status.PROCESSING, other, 2)


@pytest.mark.parametrize("verb", [Verb.CANCEL, Verb.BURY])
async def test_a_reaper_that_slept_while_an_operator_ended_the_job_changes_nothing(
    store: Store, worker_id: WorkerId, verb: Verb
) -> None:
    job = await started(store, worker_id)
    await store.end_worker(worker_id, 0, at(20))
    orphans = await store.orphans(100)
    await crash(store, job, now=at(21))
    await operate(store, verb, job.id, now=at(22))
    before = await read(store, job.id)

    [settled] = await store.settle([taken_back(orphan) for orphan in orphans], at(90))

    assert (settled.status, await read(store, job.id)) == (None, before)


async def test_a_worker_that_outlived_its_lease_may_still_end_what_nobody_took_back(
    store: Store, worker_id: WorkerId
) -> None:
    job = await started(store, worker_id)
    await store.end_worker(worker_id, 0, at(20))

    settled = await settle(store, job.id, 1, Verb.COMPLETE, now=at(21))

    assert settled.status is Status.COMPLETED
    assert await store.orphans(100) == []


async def test_a_reaped_worker_cannot_claim_again_under_its_old_name(store: Store, worker_id: WorkerId) -> None:
    await inserted(store)
    await store.end_worker(worker_id, 0, at(20))

    assert await scan(store, worker_id) == []
    assert await store.orphans(100) == []
