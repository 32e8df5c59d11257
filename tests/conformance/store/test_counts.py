"""Counts: how many jobs stand where, never counted beyond the cap."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from tests.builders import a_new_job, a_submission
from tests.conformance.steps import WAYS, one_of_each, operate, status_of
from treadle.ids import WorkerId
from treadle.states import Status, Verb
from treadle.store.protocol import COUNT_CAP, Store


async def test_an_empty_database_counts_zero_for_every_status(store: Store) -> None:
    assert await store.counts() == dict.fromkeys(Status, 0)


async def test_every_job_is_counted_where_it_stands(store: Store, worker_id: WorkerId) -> None:
    await one_of_each(store, worker_id)

    assert await store.counts() == Counter(status_of(way) for way in WAYS)


async def test_a_job_that_moved_is_counted_once(store: Store, now: datetime) -> None:
    job = a_new_job()
    await store.insert([a_submission(job)], now)
    await operate(store, Verb.CANCEL, job.id)

    assert {status: count for status, count in (await store.counts()).items() if count} == {Status.CANCELLED: 1}


async def test_nothing_is_counted_beyond_the_cap(store: Store, now: datetime) -> None:
    for _ in range(COUNT_CAP // 2000):
        await store.insert([a_submission(*(a_new_job() for _ in range(2000)))], now)
    assert (await store.counts())[Status.QUEUED] == COUNT_CAP

    await store.insert([a_submission(), a_submission()], now)

    assert (await store.counts())[Status.QUEUED] == COUNT_CAP
    assert [queue.default for queue in await store.queues()] == [COUNT_CAP]
