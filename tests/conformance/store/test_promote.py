"""Promote: what is due enters its line, earliest first."""

from __future__ import annotations

import pytest

from tests.builders import a_new_job
from tests.conformance.steps import (
    MICROSECOND,
    WAYS,
    at,
    claim,
    insert,
    inserted,
    one_of_each,
    operate,
    read,
    settle,
    started,
    statuses,
)
from treadle.ids import WorkerId
from treadle.queue import Priority
from treadle.states import Status, Verb
from treadle.store.protocol import Hint, Promoted, Store

# From which ways a job is promoted when its time has come.
WAITING = {"scheduled", "scheduled by snooze", "retrying"}


@pytest.mark.parametrize("way", WAYS)
async def test_only_waiting_jobs_are_promoted(store: Store, worker_id: WorkerId, way: str) -> None:
    job_id = await WAYS[way](store, worker_id)
    before = await read(store, job_id)

    promoted = await store.promote_due(10, at(100))

    after = await read(store, job_id)
    if way in WAITING:
        assert promoted.hints == (Hint(job_id, "default", Priority.DEFAULT),)
        assert (after.status, after.queued_at, after.updated_at) == (Status.QUEUED, at(100), at(100))
        assert (after.run_at, after.attempt, after.error) == (None, before.attempt, before.error)
    else:
        assert (promoted.hints, after) == ((), before)


async def test_of_jobs_in_every_state_exactly_the_waiting_ones_are_promoted(store: Store, worker_id: WorkerId) -> None:
    jobs = await one_of_each(store, worker_id)
    before = {way: await read(store, job_id) for way, job_id in jobs.items()}

    promoted = await store.promote_due(100, at(100))

    assert {hint.job_id for hint in promoted.hints} == {jobs[way] for way in WAITING}
    assert {way for way, job_id in jobs.items() if await read(store, job_id) != before[way]} == WAITING


async def test_a_job_is_due_at_its_moment_and_not_a_microsecond_before(store: Store) -> None:
    job_id = await inserted(store, run_at=at(60))

    early = await store.promote_due(10, at(60) - MICROSECOND)
    on_time = await store.promote_due(10, at(60))

    assert early == Promoted((), at(60))
    assert [hint.job_id for hint in on_time.hints] == [job_id]


async def test_the_earliest_are_promoted_first_and_no_more_than_the_limit(store: Store) -> None:
    ids = {seconds: await inserted(store, run_at=at(seconds)) for seconds in (5, 1, 4, 2, 3)}

    first = await store.promote_due(2, at(60))
    second = await store.promote_due(2, at(60))
    third = await store.promote_due(2, at(60))

    assert [[hint.job_id for hint in promoted.hints] for promoted in (first, second, third)] == [
        [ids[1], ids[2]],
        [ids[3], ids[4]],
        [ids[5]],
    ]
    assert (first.next_run_at, second.next_run_at, third.next_run_at) == (at(3), at(5), None)


async def test_a_hint_names_the_line_of_its_job(store: Store) -> None:
    job_id = await inserted(store, queue="reports", priority=Priority.HIGH, run_at=at(1))

    promoted = await store.promote_due(10, at(1))

    assert promoted.hints == (Hint(job_id, "reports", Priority.HIGH),)


async def test_the_next_moment_is_told_when_nothing_is_due_yet(store: Store) -> None:
    await insert(store, a_new_job(run_at=at(90)), a_new_job(run_at=at(70)), a_new_job())

    assert await store.promote_due(10, at(60)) == Promoted((), at(70))


async def test_where_nothing_waits_there_is_no_next_moment(store: Store) -> None:
    await inserted(store)

    assert await store.promote_due(10, at(60)) == Promoted((), None)


async def test_a_promoted_job_is_promoted_once(store: Store) -> None:
    await inserted(store, run_at=at(1))

    assert len((await store.promote_due(10, at(1))).hints) == 1
    assert await store.promote_due(10, at(1)) == Promoted((), None)


async def test_jobs_of_a_paused_queue_are_promoted_and_wait_in_their_line(store: Store, worker_id: WorkerId) -> None:
    job_id = await inserted(store, queue="paused", run_at=at(1))
    await store.set_paused("paused", at(0))

    await store.promote_due(10, at(1))

    assert await statuses(store, [job_id]) == ["queued"]
    assert await claim(store, worker_id, job_id) == []


async def test_promotion_touches_no_budget(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)
    await settle(store, job.id, 1, Verb.SNOOZE)
    await store.promote_due(10, at(60))
    await claim(store, worker_id, job.id)
    await settle(store, job.id, 2, Verb.RETRY)
    await store.promote_due(10, at(60))

    [again] = await claim(store, worker_id, job.id)

    assert (again.failures, again.crashes, again.snoozes) == (1, 0, 1)


async def test_a_job_that_was_cancelled_while_it_waited_is_not_promoted(store: Store) -> None:
    job_id = await inserted(store, run_at=at(1))
    await operate(store, Verb.CANCEL, job_id)

    assert await store.promote_due(10, at(60)) == Promoted((), None)
    assert await statuses(store, [job_id]) == ["cancelled"]
