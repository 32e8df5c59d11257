"""Settle: an attempt ends once, and only by whoever still holds it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.builders import a_move, an_attempt_error
from tests.conformance.steps import (
    VERBS,
    WAYS,
    at,
    cells,
    claim,
    errors_of,
    move,
    one_of_each,
    read,
    settle,
    started,
    statuses,
)
from treadle.ids import WorkerId, new_job_id
from treadle.queue import Priority
from treadle.states import Status, Verb
from treadle.store.protocol import Note, Settled, Store

# Where a move with the job's newest attempt leads. "-": refused. "=": it stands there already, which is a success
# and changes nothing: a move that is sent again meets what its first sending did.
GRID = """
                             | complete  retry     fail      bury      snooze    release   abort
scheduled                    | -         -         -         -         -         -         -
scheduled by snooze          | -         -         -         -         =         -         -
queued                       | -         -         -         -         -         -         -
queued by promote            | -         -         -         -         -         =         -
queued by release            | -         -         -         -         -         =         -
queued by requeue            | -         -         -         -         -         =         -
processing                   | completed retrying  failed    dead      scheduled queued    cancelled
processing, cancel requested | completed cancelled cancelled cancelled cancelled cancelled cancelled
retrying                     | -         =         -         -         -         -         -
completed                    | =         -         -         -         -         -         -
completed, cancel requested  | =         -         -         -         -         -         -
failed                       | -         -         =         -         -         -         -
dead                         | -         -         -         =         -         -         -
dead by operator             | -         -         -         =         -         -         -
cancelled                    | -         -         -         -         -         -         -
cancelled while retrying     | -         -         -         -         -         -         =
cancelled by abort           | -         -         -         -         -         -         =
cancelled, cancel requested  | -         =         =         =         =         =         =
"""
CELLS = cells(GRID, [verb.value for verb in VERBS])


def test_the_grid_has_a_cell_for_every_way_and_every_verb() -> None:
    assert set(CELLS) == {(way, verb.value) for way in WAYS for verb in VERBS}


@pytest.mark.parametrize(("way", "verb"), CELLS)
async def test_a_move_leads_where_the_grid_says(store: Store, worker_id: WorkerId, way: str, verb: str) -> None:
    job_id = await WAYS[way](store, worker_id)
    before = await read(store, job_id)
    attempt = max(1, before.attempt)  # the first one is 1: nobody ever held an attempt 0
    expected = CELLS[(way, verb)]

    settled = await settle(store, job_id, attempt, Verb(verb), now=at(100))

    after = await read(store, job_id)
    if expected in "-=":
        told = before.status if expected == "=" else None
        assert (settled.status, after) == (told, before)
    else:
        assert (settled.status, after.status) == (expected, expected)
        assert (after.attempt, after.worker_id, after.updated_at) == (before.attempt, None, at(100))


@pytest.mark.parametrize("way", [way for way in WAYS if not way.startswith("processing")])
@pytest.mark.parametrize("verb", VERBS)
async def test_no_move_changes_a_job_that_does_not_run(store: Store, worker_id: WorkerId, way: str, verb: Verb) -> None:
    job_id = await WAYS[way](store, worker_id)
    before = await read(store, job_id)

    moves = [move(job_id, attempt, verb, crashes=1, result=None) for attempt in range(4)]
    await store.settle(moves, at(100))

    assert await read(store, job_id) == before


@pytest.mark.parametrize("verb", [Verb.PROMOTE, Verb.CLAIM, Verb.CANCEL, Verb.REQUEUE])
async def test_a_verb_that_ends_no_attempt_is_the_callers_mistake(
    store: Store, worker_id: WorkerId, verb: Verb
) -> None:
    job = await started(store, worker_id)

    with pytest.raises(ValueError, match=verb.value):
        await store.settle([move(job.id, 1, Verb.RELEASE), a_move(job_id=job.id, verb=verb)], at(5))

    assert await statuses(store, [job.id]) == ["processing"]


async def test_moves_are_answered_in_order_and_a_refused_one_fails_no_neighbour(
    store: Store, worker_id: WorkerId
) -> None:
    jobs = [await started(store, worker_id, queue="reports", priority=Priority.HIGH) for _ in range(3)]
    moves = [
        move(jobs[2].id, 1, Verb.RELEASE),
        move(new_job_id(), 1, Verb.COMPLETE),
        move(jobs[0].id, 1, Verb.COMPLETE),
        move(jobs[1].id, 2, Verb.COMPLETE),
    ]

    settled = await store.settle(moves, at(5))

    assert settled == [
        Settled(jobs[2].id, Status.QUEUED, jobs[0].type, "reports", Priority.HIGH),
        Settled(moves[1].job_id, None),
        Settled(jobs[0].id, Status.COMPLETED, jobs[0].type, "reports", Priority.HIGH),
        Settled(jobs[1].id, None),
    ]
    assert await statuses(store, [job.id for job in jobs]) == ["completed", "processing", "queued"]


@pytest.mark.parametrize("knows", [True, False], ids=["the line is known", "nothing is known of it"])
async def test_of_a_batch_of_successes_each_is_answered(store: Store, worker_id: WorkerId, knows: bool) -> None:
    line: dict[str, Any] = {"type": "TEST", "queue": "reports", "priority": Priority.HIGH}
    told = line if knows else dict.fromkeys(line)
    jobs = [await started(store, worker_id, queue="reports", priority=Priority.HIGH) for _ in range(4)]
    made = [move(job.id, 1, Verb.COMPLETE, result=b"1", **told) for job in jobs[:2]]
    done = [Settled(job.id, Status.COMPLETED, **line) for job in jobs]

    assert await store.settle(made, at(5)) == done[:2]
    late = move(jobs[3].id, 2, Verb.COMPLETE, result=b"2", **told)
    mixed = [*made, move(jobs[2].id, 1, Verb.COMPLETE, result=b"3", **told), late]
    assert await store.settle(mixed, at(6)) == [*done[:3], Settled(jobs[3].id, None)]

    assert await statuses(store, [job.id for job in jobs]) == ["completed", "completed", "completed", "processing"]
    assert [(await read(store, job.id)).result for job in jobs] == [b"1", b"1", b"3", None]
    assert [(await read(store, job.id)).updated_at for job in jobs[:3]] == [at(5), at(5), at(6)]


async def test_a_batch_ends_jobs_in_every_state_each_by_its_own_rule(store: Store, worker_id: WorkerId) -> None:
    jobs = await one_of_each(store, worker_id)
    rows = {way: await read(store, job_id) for way, job_id in jobs.items()}
    complete = [move(rows[way].id, max(1, rows[way].attempt), Verb.COMPLETE) for way in jobs]

    settled = await store.settle(complete, at(100))

    succeeded = {way for way, done in zip(jobs, settled, strict=True) if done.status is not None}
    assert succeeded == {
        "processing",
        "processing, cancel requested",
        "completed",
        "completed, cancel requested",
    }
    changed = {way for way in jobs if await read(store, jobs[way]) != rows[way]}
    assert changed == {"processing", "processing, cancel requested"}


# ------- what an end leaves


async def test_completed(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)

    await settle(
        store,
        job.id,
        1,
        Verb.COMPLETE,
        now=at(5),
        result=b'{"rows":3}',
        artifacts=b'[{"name":"a.csv"}]',
        progress=b'{"done":3}',
    )

    stored = await read(store, job.id)
    assert (stored.status, stored.finished_at, stored.updated_at) == (Status.COMPLETED, at(5), at(5))
    assert (json.loads(stored.result or b""), json.loads(stored.artifacts)) == ({"rows": 3}, [{"name": "a.csv"}])
    assert (json.loads(stored.progress or b""), stored.error) == ({"done": 3}, None)
    assert (stored.started_at, stored.run_at, stored.failures, stored.crashes) == (at(0), None, 0, 0)


async def test_a_completed_job_shows_no_error_though_earlier_attempts_failed(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)
    await settle(store, job.id, 1, Verb.RETRY, failure=an_attempt_error(attempt=1))
    await store.promote_due(10, at(60))
    await claim(store, worker_id, job.id, now=at(60))

    await settle(store, job.id, 2, Verb.COMPLETE, now=at(61))

    stored = await read(store, job.id)
    assert (stored.error, stored.failures, len(errors_of(stored))) == (None, 1, 1)


async def test_retrying(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)

    await settle(store, job.id, 1, Verb.RETRY, now=at(5), run_at=at(12.25), failure=an_attempt_error())

    stored = await read(store, job.id)
    assert (stored.status, stored.run_at, stored.finished_at) == (Status.RETRYING, at(12.25), None)
    assert (stored.failures, stored.crashes, stored.error) == (1, 0, "no such thing")


async def test_failed(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)

    await settle(store, job.id, 1, Verb.FAIL, now=at(5), error="boom", failure=an_attempt_error())

    stored = await read(store, job.id)
    assert (stored.status, stored.finished_at, stored.run_at) == (Status.FAILED, at(5), None)
    assert (stored.failures, stored.crashes, stored.error, stored.result) == (1, 0, "boom", None)


async def test_dead_by_crashes(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)

    await settle(store, job.id, 1, Verb.BURY, now=at(5), crashes=1, failures=0, error="poison: 1 workers died")

    stored = await read(store, job.id)
    assert (stored.status, stored.finished_at, stored.failures, stored.crashes) == (Status.DEAD, at(5), 0, 1)
    assert stored.error == "poison: 1 workers died"


@pytest.mark.parametrize(("verb", "status"), [(Verb.SNOOZE, Status.SCHEDULED), (Verb.RELEASE, Status.QUEUED)])
async def test_a_snooze_and_a_release_spend_no_budget_and_keep_the_last_error_readable(
    store: Store, worker_id: WorkerId, verb: Verb, status: Status
) -> None:
    job = await started(store, worker_id)
    await settle(store, job.id, 1, Verb.RETRY, failure=an_attempt_error(attempt=1))
    await store.promote_due(10, at(60))
    await claim(store, worker_id, job.id, now=at(60))

    await settle(store, job.id, 2, verb, now=at(61))

    stored = await read(store, job.id)
    assert (stored.status, stored.failures, stored.crashes) == (status, 1, 0)
    assert (stored.error, len(errors_of(stored)), stored.finished_at) == ("no such thing", 1, None)


async def test_only_snoozes_are_counted_as_snoozes(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)

    for attempt, verb in enumerate([Verb.SNOOZE, Verb.RETRY, Verb.RELEASE, Verb.SNOOZE], start=1):
        await settle(store, job.id, attempt, verb)
        await store.promote_due(10, at(60))
        [job] = await claim(store, worker_id, job.id, now=at(60))

    assert (job.attempt, job.snoozes, job.failures, job.crashes) == (5, 2, 1, 0)


async def test_an_abort_nobody_asked_for_cancels_too_and_keeps_the_last_error(
    store: Store, worker_id: WorkerId
) -> None:
    job = await started(store, worker_id)
    await settle(store, job.id, 1, Verb.RETRY)
    await store.promote_due(10, at(60))
    await claim(store, worker_id, job.id, now=at(60))

    await settle(store, job.id, 2, Verb.ABORT, now=at(61))

    stored = await read(store, job.id)
    assert (stored.status, stored.finished_at, stored.error) == (Status.CANCELLED, at(61), "no such thing")


@pytest.mark.parametrize("verb", VERBS)
async def test_every_end_keeps_the_attempts_last_progress(store: Store, worker_id: WorkerId, verb: Verb) -> None:
    told, untold = [await started(store, worker_id) for _ in range(2)]
    await settle(store, told.id, 1, verb, progress=b'{"done":9}')

    assert json.loads((await read(store, told.id)).progress or b"") == {"done": 9}

    await store.note([Note(untold.id, 1, progress=b'{"done":4}')], at(1))
    await settle(store, untold.id, 1, verb)

    assert json.loads((await read(store, untold.id)).progress or b"") == {"done": 4}


async def test_times_of_a_move_are_kept_to_the_microsecond(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)

    await settle(store, job.id, 1, Verb.RETRY, now=at(0.000001), run_at=at(0.000003))

    stored = await read(store, job.id)
    assert (stored.updated_at, stored.run_at) == (at(0.000001), at(0.000003))
