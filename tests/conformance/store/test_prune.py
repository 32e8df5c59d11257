"""Prune: what is past its retention goes, a bounded portion at a time, and nothing else."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.builders import a_key, a_new_job, a_submission, a_worker
from tests.conformance.steps import (
    MICROSECOND,
    WAYS,
    a_worker_in,
    an_id_at,
    at,
    claim,
    insert,
    inserted,
    one_of_each,
    operate,
    scan,
    settle,
    started,
    status_of,
)
from treadle.ids import JobId, WorkerId
from treadle.states import Status, Verb
from treadle.store.protocol import Expiry, Inserted, Replayed, Store

DAY = 86_400.0
LONG_AGO = at(-50 * DAY)
EVERYTHING = [Expiry(status, datetime(9000, 1, 1, tzinfo=UTC)) for status in Status]
FINAL = {Status.COMPLETED, Status.FAILED, Status.DEAD, Status.CANCELLED}
numbers = itertools.count(1)


async def a_finished_job(store: Store, worker_id: WorkerId, verb: Verb, finished_at: float) -> JobId:
    """Submitted long ago, ended with ``verb`` so many seconds from now."""
    job = a_new_job(id=an_id_at(LONG_AGO, next(numbers)))
    await insert(store, job, now=LONG_AGO)
    await claim(store, worker_id, job.id)
    await settle(store, job.id, 1, verb, now=at(finished_at))
    return job.id


async def left_of(store: Store, ids: list[JobId]) -> list[JobId]:
    found = await store.statuses(ids)
    return [job_id for job_id in ids if job_id in found]


async def test_what_finished_before_the_limit_goes_and_what_finished_at_it_stays(
    store: Store, worker_id: WorkerId
) -> None:
    old = await a_finished_job(store, worker_id, Verb.COMPLETE, -1)
    new = await a_finished_job(store, worker_id, Verb.COMPLETE, 0)

    removed = await store.prune([Expiry(Status.COMPLETED, at(0))], 100, at(0))

    assert removed == {Status.COMPLETED: 1}
    assert await left_of(store, [old, new]) == [new]
    assert await store.prune([Expiry(Status.COMPLETED, at(0) + MICROSECOND)], 100, at(0)) == {Status.COMPLETED: 1}
    assert await left_of(store, [old, new]) == []


async def test_a_job_that_was_submitted_long_ago_and_finished_today_stays(store: Store, worker_id: WorkerId) -> None:
    job_id = await a_finished_job(store, worker_id, Verb.COMPLETE, 0)

    assert await store.prune([Expiry(Status.COMPLETED, at(-7 * DAY))], 100, at(1)) == {}
    assert await left_of(store, [job_id]) == [job_id]


async def test_every_status_has_its_own_age(store: Store, worker_id: WorkerId) -> None:
    completed = await a_finished_job(store, worker_id, Verb.COMPLETE, -10 * DAY)
    failed = await a_finished_job(store, worker_id, Verb.FAIL, -10 * DAY)
    dead = await a_finished_job(store, worker_id, Verb.BURY, -40 * DAY)
    cancelled = await a_finished_job(store, worker_id, Verb.ABORT, -40 * DAY)

    removed = await store.prune(
        [
            Expiry(Status.COMPLETED, at(-7 * DAY)),
            Expiry(Status.FAILED, at(-30 * DAY)),
            Expiry(Status.DEAD, at(-30 * DAY)),
        ],
        100,
        at(0),
    )

    assert removed == {Status.COMPLETED: 1, Status.DEAD: 1}
    assert await left_of(store, [completed, failed, dead, cancelled]) == [failed, cancelled]


async def test_nothing_unfinished_goes_whatever_is_asked(store: Store, worker_id: WorkerId) -> None:
    jobs = await one_of_each(store, worker_id)

    removed = await store.prune(EVERYTHING, 1000, at(100 * DAY))

    final = {way for way in WAYS if status_of(way) in FINAL}
    assert removed == Counter(status_of(way) for way in final)
    assert {way for way in jobs if await left_of(store, [jobs[way]])} == set(WAYS) - final


async def test_no_more_than_the_limit_goes_over_all_statuses(store: Store, worker_id: WorkerId) -> None:
    ids = [
        await a_finished_job(store, worker_id, verb, -10 * DAY)
        for verb in (Verb.COMPLETE, Verb.FAIL, Verb.BURY)
        for _ in range(3)
    ]

    removed = [sum((await store.prune(EVERYTHING, 4, at(0))).values()) for _ in range(4)]

    assert removed == [4, 4, 1, 0]
    assert await left_of(store, ids) == []


async def test_without_expiries_no_job_goes(store: Store, worker_id: WorkerId) -> None:
    job_id = await a_finished_job(store, worker_id, Verb.COMPLETE, -100 * DAY)

    assert await store.prune([], 100, at(0)) == {}
    assert await left_of(store, [job_id]) == [job_id]


async def test_a_requeued_job_is_no_longer_finished(store: Store, worker_id: WorkerId) -> None:
    job_id = await a_finished_job(store, worker_id, Verb.FAIL, -10 * DAY)
    await operate(store, Verb.REQUEUE, job_id)

    assert await store.prune(EVERYTHING, 100, at(0)) == {}
    assert [job.id for job in await scan(store, worker_id)] == [job_id]


@pytest.mark.parametrize("seconds", [-1, 0, 1])
async def test_expired_keys_go_and_others_stay(store: Store, seconds: float) -> None:
    await store.insert([a_submission(key=a_key(expires_at=at(10)))], at(0))

    await store.prune([], 100, at(10 + seconds))

    # Whether the key is still there is seen by what another body meets at a moment before it expires.
    [result] = await store.insert([a_submission(key=a_key(fingerprint=b"\x02" * 32))], at(0))
    assert isinstance(result, Inserted) is (seconds >= 0)


async def test_a_key_goes_without_its_jobs_and_jobs_without_their_key(store: Store, worker_id: WorkerId) -> None:
    kept = a_submission(id=an_id_at(LONG_AGO, 0), key=a_key(key="kept", expires_at=at(DAY)))
    expired = a_submission(key=a_key(key="expired", expires_at=at(1)))
    await store.insert([kept, expired], LONG_AGO)
    await claim(store, worker_id, kept.jobs[0].id)
    await settle(store, kept.jobs[0].id, 1, Verb.COMPLETE, now=LONG_AGO)

    await store.prune(EVERYTHING, 100, at(2))

    assert await left_of(store, [kept.jobs[0].id, expired.jobs[0].id]) == [expired.jobs[0].id]
    again = await store.insert([a_submission(key=a_key(key="kept"))], at(2))
    assert again == [Replayed((kept.jobs[0].id,))]


async def test_long_ended_leases_go_and_living_ones_stay(store: Store) -> None:
    living, ended = a_worker(started_at=LONG_AGO, beat_at=LONG_AGO), a_worker()
    for worker in (living, ended):
        await store.register_worker(worker)
    await store.end_worker(ended.id, None, at(0))

    await store.prune([], 100, at(0) + timedelta(days=30))

    assert await store.workers() == [living]
    # Gone for good: its name could be registered anew.
    await store.register_worker(ended)
    assert {worker.id for worker in await store.workers()} == {living.id, ended.id}


async def test_a_lease_that_ended_just_now_stays_ended(store: Store) -> None:
    worker = a_worker()
    await store.register_worker(worker)
    await store.end_worker(worker.id, None, at(0))

    await store.prune([], 100, at(60))

    await store.register_worker(worker)
    assert await store.workers() == []


async def test_the_jobs_of_a_lease_that_went_are_still_found(store: Store) -> None:
    worker_id = await a_worker_in(store)
    job = await started(store, worker_id)
    await store.end_worker(worker_id, None, at(0))

    await store.prune([], 100, at(30 * DAY))

    assert [orphan.id for orphan in await store.orphans(10)] == [job.id]


async def test_files_are_not_the_stores_to_touch(store: Store, worker_id: WorkerId, tmp_path: Path) -> None:
    published = tmp_path / "output" / "a.csv"
    published.parent.mkdir()
    published.write_text("a,b\n")
    job_id = await inserted(store, id=an_id_at(LONG_AGO), now=LONG_AGO)
    await claim(store, worker_id, job_id)
    files = b'[{"name":"a.csv","path":"' + str(published).encode() + b'"}]'
    await settle(store, job_id, 1, Verb.COMPLETE, now=LONG_AGO, artifacts=files)

    assert await store.prune(EVERYTHING, 100, at(0)) == {Status.COMPLETED: 1}

    assert published.read_text() == "a,b\n"
