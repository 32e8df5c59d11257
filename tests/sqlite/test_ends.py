"""Batches of ends: what completes is written in one step, the rest one by one, and no end meets another one's job."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from tests.builders import NOW, a_new_job, a_submission, an_attempt_error
from tests.conformance.steps import a_worker_in, at, move, scan
from treadle.ids import JobId, new_job_id
from treadle.job import ClaimedJob
from treadle.states import Status, Verb
from treadle.store.protocol import Move
from treadle.store.sqlite.store import SQLiteStore


@pytest.fixture
async def jobs(store: SQLiteStore) -> list[ClaimedJob]:
    """Ten that run."""
    worker_id = await a_worker_in(store)
    await store.insert([a_submission(*(a_new_job() for _ in range(10)))], NOW)
    return await scan(store, worker_id)


async def results(store: SQLiteStore, ids: Sequence[JobId]) -> list[tuple[Status, bytes | None]]:
    found = await store.get(ids)
    return [(found[job_id].status, found[job_id].result) for job_id in ids]


async def test_every_job_gets_its_own_result(store: SQLiteStore, jobs: list[ClaimedJob]) -> None:
    told = [None, *(json.dumps({"n": n, "text": '"\\u0000 \N{SNOWMAN}'}).encode() for n in range(9))]
    ends = [
        move(job.id, 1, Verb.COMPLETE, result=result, artifacts=b'[{"name":"a"}]', progress=b"0.5")
        for job, result in zip(jobs, told, strict=True)
    ]

    settled = await store.settle(list(reversed(ends)), at(1))

    assert [end.job_id for end in settled] == [job.id for job in reversed(jobs)]
    assert {(end.status, end.type, end.queue) for end in settled} == {(Status.COMPLETED, "TEST", "default")}
    ids = [job.id for job in jobs]
    assert await results(store, ids) == [(Status.COMPLETED, result) for result in told]
    stored = await store.get(ids)
    assert {(job.artifacts, job.progress, job.worker_id) for job in stored.values()} == {
        (b'[{"name":"a"}]', b"0.5", None)
    }


async def test_failures_beside_completions_keep_to_their_own_jobs(store: SQLiteStore, jobs: list[ClaimedJob]) -> None:
    ends: list[Move] = []
    for number, job in enumerate(jobs):
        if number % 3:
            ends.append(move(job.id, 1, Verb.COMPLETE, result=b"%d" % number))
        else:
            ends.append(move(job.id, 1, Verb.FAIL, error="no", failure=an_attempt_error()))
    past = move(jobs[1].id, 2, Verb.COMPLETE)
    unknown = move(new_job_id(), 1, Verb.COMPLETE)

    settled = await store.settle([*ends[5:], past, unknown, *ends[:5]], at(1))

    status = {end.job_id: end.status for end in [*settled[:5], *settled[7:]]}
    assert [end.status for end in settled[5:7]] == [None, None]
    for number, job in enumerate(jobs):
        expected = (Status.COMPLETED, b"%d" % number) if number % 3 else (Status.FAILED, None)
        assert status[job.id] is expected[0]
        assert await results(store, [job.id]) == [expected]


@pytest.mark.parametrize("verbs", [(Verb.COMPLETE, Verb.FAIL), (Verb.FAIL, Verb.COMPLETE)])
async def test_of_two_different_ends_of_one_attempt_the_first_counts(
    store: SQLiteStore, jobs: list[ClaimedJob], verbs: tuple[Verb, Verb]
) -> None:
    ends = {
        Verb.COMPLETE: move(jobs[0].id, 1, Verb.COMPLETE, result=b"1"),
        Verb.FAIL: move(jobs[0].id, 1, Verb.FAIL, error="no", failure=an_attempt_error()),
    }

    first, second, third = await store.settle(
        [ends[verbs[0]], ends[verbs[1]], move(jobs[1].id, 1, Verb.COMPLETE)], at(1)
    )

    stands = Status.COMPLETED if verbs[0] is Verb.COMPLETE else Status.FAILED
    assert (first.status, second.status, third.status) == (stands, None, Status.COMPLETED)
    assert (await store.get([jobs[0].id]))[jobs[0].id].status is stands


async def test_of_two_results_of_one_attempt_the_first_counts(store: SQLiteStore, jobs: list[ClaimedJob]) -> None:
    ends = [move(jobs[0].id, 1, Verb.COMPLETE, result=result) for result in (b"1", b"2")]

    settled = await store.settle(ends, at(1))

    assert [end.status for end in settled] == [Status.COMPLETED, Status.COMPLETED]
    assert await results(store, [jobs[0].id]) == [(Status.COMPLETED, b"1")]
