"""Many at once, in one process and through several stores: every job is given once, every verb wins or loses whole."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime

import pytest

from tests.builders import a_key, a_new_job, a_submission, an_attempt_error
from tests.conformance.conftest import AnotherStore
from tests.conformance.steps import (
    a_worker_in,
    at,
    claim,
    errors_of,
    insert,
    inserted,
    move,
    operate,
    read,
    read_all,
    scan,
    settle,
    started,
    statuses,
)
from treadle.ids import JobId
from treadle.states import Status, Verb
from treadle.store.protocol import Inserted, Replayed, Store

CLAIMERS = 16


@pytest.fixture(params=["one store", "two stores"])
async def stores(request: pytest.FixtureRequest, store: Store, another_store: AnotherStore) -> list[Store]:
    """As many as there are claimers; the second half may come through a store of its own."""
    other = store if request.param == "one store" else await another_store()
    return [store] * (CLAIMERS // 2) + [other] * (CLAIMERS // 2)


async def test_no_job_is_given_twice_to_sixteen_that_scan(stores: list[Store]) -> None:
    ids = await insert(stores[0], *(a_new_job() for _ in range(400)))
    given: list[tuple[JobId, int]] = []

    async def take_until_all_are_given(store: Store) -> None:
        worker_id = await a_worker_in(store)
        while len(given) < len(ids):
            given.extend((job.id, job.attempt) for job in await scan(store, worker_id, limit=7))

    await asyncio.gather(*map(take_until_all_are_given, stores))

    assert sorted(given) == [(job_id, 1) for job_id in sorted(ids)]


async def test_no_job_is_given_twice_to_sixteen_that_were_hinted_at_the_same(stores: list[Store]) -> None:
    ids = await insert(stores[0], *(a_new_job() for _ in range(200)))
    workers = [await a_worker_in(store) for store in stores]

    claims = await asyncio.gather(
        *(claim(store, worker_id, *ids) for store, worker_id in zip(stores, workers, strict=True))
    )

    assert Counter(job.id for jobs in claims for job in jobs) == dict.fromkeys(ids, 1)
    for worker_id, jobs in zip(workers, claims, strict=True):
        assert {stored.worker_id for stored in await read_all(stores[0], [job.id for job in jobs])} <= {worker_id}


async def test_jobs_that_are_submitted_claimed_and_settled_all_at_once_run_once_each(stores: list[Store]) -> None:
    expected = 20 * CLAIMERS
    ended: list[tuple[JobId, int]] = []
    sent: list[JobId] = []

    async def submit(store: Store) -> None:
        for _ in range(20):
            sent.append(await inserted(store))

    async def work(store: Store) -> None:
        worker_id = await a_worker_in(store)
        while len(ended) < expected:
            for job in await scan(store, worker_id, limit=5):
                settled = await settle(store, job.id, job.attempt, Verb.COMPLETE)
                assert settled.status is Status.COMPLETED
                ended.append((job.id, job.attempt))

    await asyncio.gather(*map(submit, stores), *map(work, stores))

    assert sorted(ended) == [(job_id, 1) for job_id in sorted(sent)]
    assert (await stores[0].counts())[Status.COMPLETED] == expected


async def test_of_a_completion_and_a_cancel_that_race_both_tell_the_same_story(stores: list[Store]) -> None:
    worker_id = await a_worker_in(stores[0])
    ids = await insert(stores[0], *(a_new_job() for _ in range(100)))
    await scan(stores[0], worker_id)

    async def race(job_id: JobId, place: int) -> None:
        cancelling = operate(stores[place % CLAIMERS], Verb.CANCEL, job_id)
        settling = settle(stores[-1 - place % CLAIMERS], job_id, 1, Verb.COMPLETE if place % 2 else Verb.RETRY)
        operated, settled = await asyncio.gather(cancelling, settling)
        stored = await read(stores[0], job_id)
        if place % 2:
            assert (settled.status, stored.status) == (Status.COMPLETED, Status.COMPLETED)
            assert stored.cancel_requested is (operated.after is Status.PROCESSING)
        else:  # asked while it ran, or cancelled while it waited for its retry: cancelled either way
            assert stored.status is Status.CANCELLED
            assert (operated.after, settled.status) in [
                (Status.PROCESSING, Status.CANCELLED),
                (Status.CANCELLED, Status.RETRYING),
            ]

    await asyncio.gather(*(race(job_id, place) for place, job_id in enumerate(ids)))


async def test_of_a_requeue_and_a_burial_that_race_one_wins(stores: list[Store]) -> None:
    worker_id = await a_worker_in(stores[0])
    jobs = [await started(stores[0], worker_id) for _ in range(40)]
    await stores[0].settle([move(job.id, 1, Verb.FAIL) for job in jobs], at(1))

    for place, job in enumerate(jobs):
        requeued, buried = await asyncio.gather(
            operate(stores[place % CLAIMERS], Verb.REQUEUE, job.id, now=at(2)),
            operate(stores[-1 - place % CLAIMERS], Verb.BURY, job.id, now=at(2)),
        )

        # A dead job may be requeued, so burial first and requeue second both succeed; the other way round one fails.
        assert (requeued.before, requeued.after, buried.after) in [
            (Status.FAILED, Status.QUEUED, None),
            (Status.DEAD, Status.QUEUED, Status.DEAD),
        ]
        assert await statuses(stores[0], [job.id]) == ["queued"]


async def test_what_is_due_is_promoted_once_by_promoters_that_run_at_once(stores: list[Store]) -> None:
    ids = await insert(stores[0], *(a_new_job(run_at=at(1)) for _ in range(100)))

    told = await asyncio.gather(*(store.promote_due(30, at(5)) for store in stores))

    assert Counter(hint.job_id for promoted in told for hint in promoted.hints) == dict.fromkeys(ids, 1)


async def test_reapers_that_run_at_once_count_one_crash_a_job(stores: list[Store]) -> None:
    worker_id = await a_worker_in(stores[0])
    ids = await insert(stores[0], *(a_new_job() for _ in range(30)))
    await scan(stores[0], worker_id)

    async def reap(store: Store) -> bool:
        ended = await store.end_worker(worker_id, 0, at(20))
        moves = [
            move(orphan.id, orphan.attempt, Verb.RETRY, failures=0, crashes=1, failure=an_attempt_error())
            for orphan in await store.orphans(100)
        ]
        await store.settle(moves, at(21))
        return ended

    ended = await asyncio.gather(*map(reap, stores))

    assert sorted(ended) == [False] * (CLAIMERS - 1) + [True]
    jobs = await read_all(stores[0], ids)
    assert {(job.status, job.crashes, len(errors_of(job))) for job in jobs} == {(Status.RETRYING, 1, 1)}


async def test_of_requests_with_one_key_that_arrive_at_once_one_is_inserted(stores: list[Store], now: datetime) -> None:
    units = [a_submission(key=a_key()) for _ in stores]

    answers = await asyncio.gather(*(store.insert([unit], now) for store, unit in zip(stores, units, strict=True)))

    [winner] = [answer[0] for answer in answers if isinstance(answer[0], Inserted)]
    assert [answer[0] for answer in answers if not isinstance(answer[0], Inserted)] == [Replayed(winner.ids)] * (
        CLAIMERS - 1
    )
    assert (await stores[0].counts())[Status.QUEUED] == 1


async def test_a_claim_and_the_end_of_its_lease_that_race_never_lose_a_job(stores: list[Store]) -> None:
    for place in range(30):
        store, other = stores[place % CLAIMERS], stores[-1 - place % CLAIMERS]
        worker_id = await a_worker_in(store)
        job_id = await inserted(store)

        claimed, _ = await asyncio.gather(claim(store, worker_id, job_id), other.end_worker(worker_id, 0, at(20)))

        orphans = [orphan.id for orphan in await store.orphans(100)]
        if claimed:
            assert job_id in orphans
        else:
            assert await statuses(store, [job_id]) == ["queued"]


async def test_beats_that_arrive_at_once_are_all_counted(stores: list[Store]) -> None:
    worker_id = await a_worker_in(stores[0])

    await asyncio.gather(*(store.beat(worker_id, 1, at(2)) for store in stores))

    [worker] = await stores[0].workers()
    assert worker.beat == CLAIMERS
