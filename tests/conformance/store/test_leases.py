"""Leases: a worker's row, its counter, and who may end it."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.builders import a_worker
from tests.conformance.steps import a_worker_in, at, claim, inserted, operate, settle, started
from treadle.ids import WorkerId, new_job_id, new_worker_id
from treadle.states import Verb
from treadle.store.protocol import HeldJob, Store


async def beat_of(store: Store, worker_id: WorkerId) -> int:
    [beat] = [worker.beat for worker in await store.workers() if worker.id == worker_id]
    return beat


async def test_a_registered_worker_reads_back_as_it_was_told(store: Store) -> None:
    worker = a_worker(
        host="höst", pid=123, version="9.9.9", queues=("a", "b"), concurrency=7, running=3, beat=5, started_at=at(-1)
    )

    await store.register_worker(worker)

    assert await store.workers() == [worker]


async def test_beats_are_the_counters_of_leases_that_have_not_ended(store: Store) -> None:
    living, ended = await a_worker_in(store, beat=5), await a_worker_in(store)
    await store.beat(living, 0, at(1))
    await store.end_worker(ended, None, at(1))

    assert await store.beats() == [(living, 6)]


async def test_registering_again_changes_nothing(store: Store) -> None:
    worker = a_worker()
    await store.register_worker(worker)
    await store.beat(worker.id, 2, at(2))
    before = await store.workers()

    await store.register_worker(worker)

    assert await store.workers() == before


async def test_registering_again_does_not_revive_an_ended_lease(store: Store) -> None:
    worker = a_worker()
    await store.register_worker(worker)
    await store.end_worker(worker.id, None, at(1))

    await store.register_worker(worker)

    assert await store.workers() == []
    assert await store.beat(worker.id, 0, at(2)) is None


async def test_a_beat_raises_the_counter_and_is_seen(store: Store, now: datetime) -> None:
    worker_id = await a_worker_in(store, beat=5)

    await store.beat(worker_id, 3, at(2))
    await store.beat(worker_id, 4, at(4.000001))

    [worker] = await store.workers()
    assert (worker.beat, worker.running, worker.beat_at, worker.started_at) == (7, 4, at(4.000001), now)


async def test_a_beat_of_a_worker_that_holds_nothing_tells_nothing(store: Store, worker_id: WorkerId) -> None:
    assert await store.beat(worker_id, 0, at(1)) == []


async def test_a_beat_tells_what_points_to_the_worker_and_what_was_asked_to_stop(
    store: Store, worker_id: WorkerId
) -> None:
    other = await a_worker_in(store)
    plain, asked, ended = [await started(store, worker_id) for _ in range(3)]
    await operate(store, Verb.CANCEL, asked.id)
    await settle(store, ended.id, 1, Verb.RELEASE)
    foreign = await inserted(store)
    await claim(store, other, foreign, ended.id)

    held = await store.beat(worker_id, 2, at(2))

    assert held is not None
    assert sorted(held, key=lambda job: job.job_id) == sorted(
        [HeldJob(plain.id, 1, False), HeldJob(asked.id, 1, True)], key=lambda job: job.job_id
    )
    assert {(job.job_id, job.attempt) for job in await store.beat(other, 2, at(2)) or ()} == {
        (foreign, 1),
        (ended.id, 2),
    }


async def test_a_beat_for_some_jobs_tells_which_of_them_point_to_the_worker_and_no_others(
    store: Store, worker_id: WorkerId
) -> None:
    other = await a_worker_in(store)
    plain, asked, given_back, unasked = [await started(store, worker_id) for _ in range(4)]
    await operate(store, Verb.CANCEL, asked.id)
    await settle(store, given_back.id, 1, Verb.RELEASE)
    await claim(store, worker_id, given_back.id)
    queued, foreign = [await inserted(store) for _ in range(2)]
    await claim(store, other, foreign)
    done = await started(store, worker_id)
    await settle(store, done.id, 1, Verb.COMPLETE, result=b"1")

    asked_for = [plain.id, asked.id, given_back.id, queued, foreign, done.id, new_job_id()]
    held = await store.beat(worker_id, 4, at(2), asked_for)

    assert held is not None
    assert sorted(held, key=lambda job: job.job_id) == sorted(
        [HeldJob(plain.id, 1, False), HeldJob(asked.id, 1, True), HeldJob(given_back.id, 2, False)],
        key=lambda job: job.job_id,
    )
    assert unasked.id in {job.job_id for job in await store.beat(worker_id, 4, at(3)) or ()}


async def test_a_beat_for_no_job_counts_and_tells_none(store: Store, worker_id: WorkerId) -> None:
    await started(store, worker_id)

    assert await store.beat(worker_id, 0, at(2), []) == []

    assert await beat_of(store, worker_id) == 1


async def test_a_beat_for_some_jobs_of_an_ended_lease_is_none(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)
    await store.end_worker(worker_id, None, at(1))

    assert await store.beat(worker_id, 1, at(2), [job.id]) is None


async def test_a_beat_of_an_ended_lease_is_none_and_revives_nothing(store: Store, worker_id: WorkerId) -> None:
    await started(store, worker_id)
    await store.end_worker(worker_id, None, at(1))

    assert await store.beat(worker_id, 0, at(2)) is None
    assert await store.beat(worker_id, 0, at(3)) is None
    assert await store.workers() == []


async def test_a_beat_of_a_worker_nobody_registered_is_none(store: Store) -> None:
    stranger = new_worker_id()

    assert await store.beat(stranger, 0, at(1)) is None
    assert await store.workers() == []


async def test_a_beat_saves_the_worker_from_a_reaper_that_watched_the_counter_before(
    store: Store, worker_id: WorkerId
) -> None:
    watched = await beat_of(store, worker_id)
    await store.beat(worker_id, 0, at(2))

    assert await store.end_worker(worker_id, watched, at(20)) is False

    assert await store.beat(worker_id, 0, at(21)) == []


@pytest.mark.parametrize("wrong", [-1, 0, 2, 100])
async def test_a_lease_ends_only_at_the_counter_that_was_watched(store: Store, worker_id: WorkerId, wrong: int) -> None:
    await store.beat(worker_id, 0, at(2))  # the counter is 1

    assert await store.end_worker(worker_id, wrong, at(20)) is False
    assert [worker.id for worker in await store.workers()] == [worker_id]
    assert await store.end_worker(worker_id, 1, at(21)) is True
    assert await store.workers() == []


async def test_a_worker_ends_its_own_lease_whatever_the_counter_is(store: Store, worker_id: WorkerId) -> None:
    await store.beat(worker_id, 0, at(2))

    assert await store.end_worker(worker_id, None, at(3)) is True
    assert await store.workers() == []


@pytest.mark.parametrize("beat", [None, 0])
async def test_a_lease_is_ended_once(store: Store, worker_id: WorkerId, beat: int | None) -> None:
    assert await store.end_worker(worker_id, beat, at(20)) is True
    assert await store.end_worker(worker_id, beat, at(21)) is False


async def test_ending_one_lease_ends_no_other(store: Store, worker_id: WorkerId) -> None:
    other = await a_worker_in(store)

    await store.end_worker(worker_id, 0, at(20))

    assert [worker.id for worker in await store.workers()] == [other]
    assert await store.end_worker(new_worker_id(), None, at(20)) is False
