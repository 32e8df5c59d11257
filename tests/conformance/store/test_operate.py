"""Operate: what people and the API may do to a job that exists."""

from __future__ import annotations

import json

import pytest

from tests.builders import an_attempt_error
from tests.conformance.steps import (
    WAYS,
    at,
    cells,
    claim,
    errors_of,
    inserted,
    one_of_each,
    operate,
    read,
    scan,
    settle,
    started,
)
from treadle.ids import WorkerId, new_job_id
from treadle.queue import Priority
from treadle.states import Status, Verb
from treadle.store.protocol import Note, Operated, Store

VERBS = [Verb.CANCEL, Verb.REQUEUE, Verb.BURY]

# Where an operator's verb leads. "-": refused, nothing changes. A running job that is cancelled runs on, and is asked.
GRID = """
                             | cancel     requeue bury
scheduled                    | cancelled  -       -
scheduled by snooze          | cancelled  -       -
queued                       | cancelled  -       -
queued by promote            | cancelled  -       -
queued by release            | cancelled  -       -
queued by requeue            | cancelled  -       -
processing                   | processing -       -
processing, cancel requested | processing -       -
retrying                     | cancelled  -       dead
completed                    | -          -       -
completed, cancel requested  | -          -       -
failed                       | -          queued  dead
dead                         | -          queued  -
dead by operator             | -          queued  -
cancelled                    | -          queued  -
cancelled while retrying     | -          queued  -
cancelled by abort           | -          queued  -
cancelled, cancel requested  | -          queued  -
"""
CELLS = cells(GRID, [verb.value for verb in VERBS])


def test_the_grid_has_a_cell_for_every_way_and_every_verb() -> None:
    assert set(CELLS) == {(way, verb.value) for way in WAYS for verb in VERBS}


@pytest.mark.parametrize(("way", "verb"), CELLS)
async def test_a_verb_leads_where_the_grid_says(store: Store, worker_id: WorkerId, way: str, verb: str) -> None:
    job_id = await WAYS[way](store, worker_id)
    before = await read(store, job_id)
    expected = CELLS[(way, verb)]

    operated = await operate(store, Verb(verb), job_id, now=at(100))

    after = await read(store, job_id)
    if expected == "-":
        assert operated == Operated(job_id, before.status, None, before.type, "default", Priority.DEFAULT)
        assert after == before
    else:
        assert operated == Operated(job_id, before.status, Status(expected), before.type, "default", Priority.DEFAULT)
        assert (after.status, after.attempt, after.updated_at) == (expected, before.attempt, at(100))


@pytest.mark.parametrize("verb", VERBS)
async def test_jobs_in_every_state_are_operated_on_in_one_batch_and_told_in_order(
    store: Store, worker_id: WorkerId, verb: Verb
) -> None:
    jobs = await one_of_each(store, worker_id)
    ids = [*jobs.values(), new_job_id()]
    before = {way: await read(store, job_id) for way, job_id in jobs.items()}

    told = await store.operate(verb, ids, at(100))

    assert [operated.job_id for operated in told] == ids
    assert told.pop() == Operated(ids[-1], None, None)
    assert [operated.after or "-" for operated in told] == [CELLS[(way, verb.value)] for way in jobs]
    unchanged = {way for way in jobs if await read(store, jobs[way]) == before[way]}
    assert unchanged == {way for way in jobs if CELLS[(way, verb.value)] == "-"}


@pytest.mark.parametrize("verb", [verb for verb in Verb if verb not in VERBS])
async def test_a_verb_that_is_no_operators_is_the_callers_mistake(
    store: Store, worker_id: WorkerId, verb: Verb
) -> None:
    job_id = await inserted(store)
    before = await read(store, job_id)

    with pytest.raises(ValueError, match=verb.value):
        await operate(store, verb, job_id)

    assert await read(store, job_id) == before


async def test_one_job_twice_in_a_batch_is_operated_on_once(store: Store) -> None:
    job_id = await inserted(store)

    first, second = await store.operate(Verb.CANCEL, [job_id, job_id], at(1))

    assert (first.before, first.after) == (Status.QUEUED, Status.CANCELLED)
    assert (second.before, second.after) == (Status.CANCELLED, None)


async def test_the_line_of_the_job_is_told_for_whoever_announces_it(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id, queue="reports", priority=Priority.HIGH)
    await settle(store, job.id, 1, Verb.FAIL)

    operated = await operate(store, Verb.REQUEUE, job.id)

    assert (operated.queue, operated.priority) == ("reports", Priority.HIGH)


# --------------------------------------------------------------------------------------------- cancel


async def test_a_cancelled_job_has_ended_and_never_runs(store: Store, worker_id: WorkerId) -> None:
    ids = [await inserted(store), await inserted(store, run_at=at(60))]

    await store.operate(Verb.CANCEL, ids, at(5))

    for job_id in ids:
        stored = await read(store, job_id)
        assert (stored.finished_at, stored.run_at, stored.cancel_requested) == (at(5), None, False)
    assert (await store.promote_due(10, at(100))).hints == ()
    assert await scan(store, worker_id) == []


async def test_cancelling_a_running_job_asks_it_to_stop_and_leaves_it_running(
    store: Store, worker_id: WorkerId
) -> None:
    job = await started(store, worker_id)

    await operate(store, Verb.CANCEL, job.id, now=at(5))

    stored = await read(store, job.id)
    assert (stored.status, stored.cancel_requested, stored.worker_id) == (Status.PROCESSING, True, worker_id)
    assert (stored.attempt, stored.started_at, stored.finished_at) == (1, job.started_at, None)


# -------------------------------------------------------------------------------------------- requeue


async def test_a_requeued_job_begins_a_new_life_and_keeps_its_story(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)
    await settle(store, job.id, 1, Verb.SNOOZE)
    await store.promote_due(10, at(60))
    await claim(store, worker_id, job.id)
    await settle(store, job.id, 2, Verb.FAIL, crashes=2, progress=b"1", failure=an_attempt_error(attempt=2))

    await operate(store, Verb.REQUEUE, job.id, now=at(70))

    stored = await read(store, job.id)
    assert (stored.status, stored.queued_at, stored.finished_at) == (Status.QUEUED, at(70), None)
    assert (stored.failures, stored.crashes, stored.attempt) == (0, 0, 2)
    assert (stored.result, stored.error, stored.progress) == (None, None, None)
    assert (json.loads(stored.artifacts), len(errors_of(stored)), stored.created_at) == ([], 1, at(0))
    [again] = await claim(store, worker_id, job.id)
    assert (again.attempt, again.snoozes) == (3, 0)


async def test_a_requeued_job_can_fail_as_often_as_a_new_one(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)
    await settle(store, job.id, 1, Verb.FAIL)
    await operate(store, Verb.REQUEUE, job.id)
    await claim(store, worker_id, job.id)

    await settle(store, job.id, 2, Verb.RETRY)

    assert (await read(store, job.id)).failures == 1


# ----------------------------------------------------------------------------------------------- bury


async def test_a_buried_job_keeps_its_error_and_the_moment_it_failed(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)
    await settle(store, job.id, 1, Verb.FAIL, now=at(5), error="boom", failure=an_attempt_error())

    await operate(store, Verb.BURY, job.id, now=at(9))

    stored = await read(store, job.id)
    assert (stored.status, stored.error, stored.finished_at) == (Status.DEAD, "boom", at(5))
    assert (stored.failures, len(errors_of(stored)), stored.updated_at) == (1, 1, at(9))


async def test_a_job_buried_while_it_waits_to_retry_ends_now_and_never_runs(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)
    await settle(store, job.id, 1, Verb.RETRY, error="boom")

    await operate(store, Verb.BURY, job.id, now=at(9))

    stored = await read(store, job.id)
    assert (stored.finished_at, stored.run_at, stored.error) == (at(9), None, "boom")
    assert (await store.promote_due(10, at(100))).hints == ()


async def test_cancelling_while_waiting_to_retry_keeps_the_error(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)
    await settle(store, job.id, 1, Verb.RETRY, error="boom", failure=an_attempt_error())

    await operate(store, Verb.CANCEL, job.id, now=at(9))

    stored = await read(store, job.id)
    assert (stored.status, stored.error, len(errors_of(stored)), stored.failures) == (Status.CANCELLED, "boom", 1, 1)


async def test_notes_of_a_job_that_was_requeued_meanwhile_are_refused(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)
    await settle(store, job.id, 1, Verb.FAIL)
    await operate(store, Verb.REQUEUE, job.id)

    assert await store.note([Note(job.id, 1, progress=b"1")], at(5)) == [False]
