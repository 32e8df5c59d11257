"""Claim: ready jobs become one worker's, and nobody else's."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from tests.builders import a_new_job, a_worker
from tests.conformance.steps import (
    TYPES,
    WAYS,
    a_worker_in,
    at,
    claim,
    insert,
    inserted,
    one_of_each,
    operate,
    read,
    read_all,
    scan,
    settle,
    started,
    statuses,
)
from treadle.ids import JobId, WorkerId, new_job_id, new_worker_id
from treadle.states import Status, Verb
from treadle.store.protocol import ClaimRequest, Note, Store

# From which ways a job can be claimed.
READY = {"queued", "queued by promote", "queued by release", "queued by requeue"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("by_scan", [False, True], ids=["by id", "by scan"])
async def test_only_a_queued_job_is_claimed(store: Store, worker_id: WorkerId, way: str, by_scan: bool) -> None:
    job_id = await WAYS[way](store, worker_id)
    before = await read(store, job_id)

    jobs = await (scan(store, worker_id, now=at(100)) if by_scan else claim(store, worker_id, job_id, now=at(100)))

    after = await read(store, job_id)
    if way in READY:
        assert [(job.id, job.attempt) for job in jobs] == [(job_id, before.attempt + 1)]
        assert (after.status, after.attempt) == (Status.PROCESSING, before.attempt + 1)
    else:
        assert (jobs, after) == ([], before)


@pytest.mark.parametrize("by_scan", [False, True], ids=["by id", "by scan"])
async def test_of_jobs_in_every_state_a_batch_takes_exactly_the_queued_ones(
    store: Store, worker_id: WorkerId, by_scan: bool
) -> None:
    jobs = await one_of_each(store, worker_id)
    before = {way: await read(store, job_id) for way, job_id in jobs.items()}

    claimed = await (scan(store, worker_id) if by_scan else claim(store, worker_id, *jobs.values()))

    assert {job.id for job in claimed} == {jobs[way] for way in READY}
    changed = {way for way, job_id in jobs.items() if await read(store, job_id) != before[way]}
    assert changed == READY


async def test_a_claim_raises_the_attempt_and_names_the_worker(
    store: Store, worker_id: WorkerId, now: datetime
) -> None:
    job_id = await inserted(store, now=now)

    [claimed] = await claim(store, worker_id, job_id, now=at(3))

    stored = await read(store, job_id)
    assert (claimed.attempt, claimed.started_at) == (1, at(3))
    assert (stored.status, stored.attempt, stored.worker_id) == (Status.PROCESSING, 1, worker_id)
    assert (stored.started_at, stored.updated_at, stored.finished_at) == (at(3), at(3), None)


async def test_the_attempt_rises_with_every_claim_whatever_ended_the_last(store: Store, worker_id: WorkerId) -> None:
    job_id = await inserted(store)

    attempts = []
    for verb in (Verb.RETRY, Verb.SNOOZE, Verb.RELEASE, Verb.FAIL):
        [claimed] = await claim(store, worker_id, job_id, now=at(100))
        attempts.append(claimed.attempt)
        await settle(store, job_id, claimed.attempt, verb, now=at(100))
        await store.promote_due(10, at(100))
    await operate(store, Verb.REQUEUE, job_id)
    [claimed] = await claim(store, worker_id, job_id)

    assert [*attempts, claimed.attempt] == [1, 2, 3, 4, 5]


async def test_a_claim_forgets_the_last_attempts_progress_and_keeps_its_checkpoint(
    store: Store, worker_id: WorkerId
) -> None:
    job = await started(store, worker_id)
    await store.note([Note(job.id, 1, progress=b'{"done":3}', checkpoint=b'{"page":3}')], at(1))
    await settle(store, job.id, 1, Verb.RELEASE)

    [again] = await claim(store, worker_id, job.id)

    assert (await read(store, job.id)).progress is None
    assert json.loads(again.checkpoint or b"") == {"page": 3}


# ------------------------------------------------------------------------------------------------ by id


async def test_ids_that_are_stale_repeated_or_unknown_are_dropped(store: Store, worker_id: WorkerId) -> None:
    ready = await insert(store, a_new_job(), a_new_job())
    stale = [(await started(store, worker_id)).id, await inserted(store, run_at=at(60))]

    claimed = await claim(store, worker_id, ready[1], stale[0], new_job_id(), ready[0], ready[1], stale[1], ready[0])

    assert [job.id for job in claimed] == [ready[1], ready[0]]
    assert [job.attempt for job in await read_all(store, [*ready, *stale])] == [1, 1, 1, 0]


async def test_repeated_ids_do_not_use_up_the_limit(store: Store, worker_id: WorkerId) -> None:
    first, second = await insert(store, a_new_job(), a_new_job())

    claimed = await claim(store, worker_id, first, first, second, limit=2)

    assert {job.id for job in claimed} == {first, second}


async def test_ids_beyond_the_limit_stay_where_they_are(store: Store, worker_id: WorkerId) -> None:
    ids = await insert(store, *(a_new_job() for _ in range(5)))

    claimed = await claim(store, worker_id, *ids, limit=2)

    assert len(claimed) == 2
    assert sorted(await statuses(store, ids)) == ["processing"] * 2 + ["queued"] * 3


async def test_no_ids_are_nothing_to_claim(store: Store, worker_id: WorkerId) -> None:
    await inserted(store)

    assert await claim(store, worker_id, limit=10) == []


# ---------------------------------------------------------------------------------------------- by scan


async def test_a_scan_takes_no_more_than_its_limit(store: Store, worker_id: WorkerId) -> None:
    await insert(store, *(a_new_job() for _ in range(10)))

    sizes = [len(await scan(store, worker_id, limit=4)) for _ in range(4)]

    assert sizes == [4, 4, 2, 0]


async def test_a_scan_finds_what_nobody_hinted_at_however_it_became_ready(store: Store, worker_id: WorkerId) -> None:
    jobs = await one_of_each(store, worker_id)

    claimed = await scan(store, await a_worker_in(store), now=at(100))

    assert {job.id for job in claimed} == {jobs[way] for way in READY}


# ---------------------------------------------------------------------------------- types, queues, pauses


@pytest.mark.parametrize("by_scan", [False, True], ids=["by id", "by scan"])
async def test_jobs_of_types_the_worker_does_not_know_stay(store: Store, worker_id: WorkerId, by_scan: bool) -> None:
    kinds = ["A", "B", "C", "a"]
    ids = await insert(store, *(a_new_job(type=kind) for kind in kinds))
    wanted: tuple[JobId, ...] | None = None if by_scan else tuple(ids)

    claimed = await store.claim(ClaimRequest(worker_id=worker_id, limit=10, types=("C", "A", "X"), ids=wanted), at(0))

    assert {job.type for job in claimed} == {"A", "C"}
    assert await statuses(store, ids) == ["processing", "queued", "processing", "queued"]


@pytest.mark.parametrize("by_scan", [False, True], ids=["by id", "by scan"])
async def test_a_worker_that_knows_no_type_claims_nothing(store: Store, worker_id: WorkerId, by_scan: bool) -> None:
    job_id = await inserted(store)

    request = ClaimRequest(worker_id=worker_id, limit=10, types=(), ids=None if by_scan else (job_id,))

    assert await store.claim(request, at(0)) == []
    assert await statuses(store, [job_id]) == ["queued"]


@pytest.mark.parametrize("by_scan", [False, True], ids=["by id", "by scan"])
@pytest.mark.parametrize(
    ("served", "expected"),
    [(None, "abc"), (("b",), "b"), (("c", "a"), "ac"), (("x", "b"), "b"), (("x",), ""), ((), "")],
)
async def test_jobs_of_queues_the_worker_does_not_serve_stay(
    store: Store, worker_id: WorkerId, by_scan: bool, served: tuple[str, ...] | None, expected: str
) -> None:
    ids = await insert(store, *(a_new_job(queue=queue) for queue in "abc"))
    wanted = None if by_scan else tuple(ids)

    claimed = await store.claim(
        ClaimRequest(worker_id=worker_id, limit=10, types=TYPES, queues=served, ids=wanted), at(0)
    )

    assert sorted(job.queue for job in claimed) == sorted(expected)
    assert (await statuses(store, ids)).count("queued") == 3 - len(expected)


@pytest.mark.parametrize("by_scan", [False, True], ids=["by id", "by scan"])
async def test_jobs_of_a_paused_queue_stay_until_it_is_resumed(
    store: Store, worker_id: WorkerId, by_scan: bool
) -> None:
    ids = await insert(store, a_new_job(queue="paused"), a_new_job(queue="open"))
    request = ClaimRequest(worker_id=worker_id, limit=10, types=TYPES, ids=None if by_scan else tuple(ids))
    await store.set_paused("paused", at(0))

    claimed = await store.claim(request, at(1))

    assert [job.queue for job in claimed] == ["open"]
    assert await statuses(store, ids) == ["queued", "processing"]
    await store.set_paused("paused", None)
    assert [job.queue for job in await store.claim(request, at(2))] == ["paused"]


async def test_a_paused_queue_stays_paused_for_a_worker_that_serves_only_it(store: Store, worker_id: WorkerId) -> None:
    job_id = await inserted(store, queue="paused")
    await store.set_paused("paused", at(0))

    assert await scan(store, worker_id, queues=("paused",)) == []
    assert await claim(store, worker_id, job_id, queues=("paused",)) == []


# ------------------------------------------------------------------------------------------------ lease


@pytest.mark.parametrize("by_scan", [False, True], ids=["by id", "by scan"])
async def test_a_worker_whose_lease_is_ended_claims_nothing(store: Store, worker_id: WorkerId, by_scan: bool) -> None:
    job_id = await inserted(store)
    await store.end_worker(worker_id, None, at(1))

    claimed = await (scan(store, worker_id) if by_scan else claim(store, worker_id, job_id))

    assert (claimed, await statuses(store, [job_id])) == ([], ["queued"])


@pytest.mark.parametrize("by_scan", [False, True], ids=["by id", "by scan"])
async def test_a_worker_nobody_registered_claims_nothing(store: Store, by_scan: bool) -> None:
    job_id, stranger = await inserted(store), new_worker_id()

    claimed = await (scan(store, stranger) if by_scan else claim(store, stranger, job_id))

    assert (claimed, await statuses(store, [job_id])) == ([], ["queued"])


async def test_a_worker_that_registered_as_ended_claims_nothing(store: Store) -> None:
    worker = a_worker(ended_at=at(0))
    await store.register_worker(worker)
    await inserted(store)

    assert await scan(store, worker.id) == []
