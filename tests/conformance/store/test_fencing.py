"""Fencing (S2) and sending again (S4): only the running attempt is ended, and only once."""

from __future__ import annotations

import json

import pytest

from tests.builders import an_attempt_error
from tests.conformance.steps import (
    VERBS,
    a_worker_in,
    at,
    claim,
    crash,
    errors_of,
    move,
    operate,
    read,
    settle,
    started,
)
from treadle.ids import WorkerId
from treadle.states import Status, Verb
from treadle.store.protocol import Store


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("attempt", [-1, 0, 1, 3, 1000])
async def test_another_attempt_than_the_running_one_is_refused(
    store: Store, worker_id: WorkerId, verb: Verb, attempt: int
) -> None:
    job = await started(store, worker_id)
    await settle(store, job.id, 1, Verb.RELEASE)
    await claim(store, worker_id, job.id)
    before = await read(store, job.id)

    settled = await settle(store, job.id, attempt, verb, now=at(9))

    assert (settled.status, await read(store, job.id)) == (None, before)


@pytest.mark.parametrize("verb", VERBS)
async def test_a_worker_that_was_given_up_cannot_end_the_job_that_another_now_runs(
    store: Store, worker_id: WorkerId, verb: Verb
) -> None:
    job = await started(store, worker_id)
    await crash(store, job, now=at(20), run_at=at(21))
    await store.promote_due(10, at(21))
    other = await a_worker_in(store)
    [again] = await claim(store, other, job.id, now=at(22))
    before = await read(store, job.id)

    late = await settle(store, job.id, job.attempt, verb, now=at(23), result=b'"of the zombie"')

    assert (late.status, await read(store, job.id)) == (None, before)
    assert (await settle(store, job.id, again.attempt, Verb.COMPLETE, now=at(24), result=b'"of the other"')).status
    assert json.loads((await read(store, job.id)).result or b"") == "of the other"


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb is not Verb.RETRY])
async def test_after_a_reap_the_old_worker_cannot_end_the_job_before_anybody_runs_it(
    store: Store, worker_id: WorkerId, verb: Verb
) -> None:
    job = await started(store, worker_id)
    await crash(store, job, now=at(20))
    before = await read(store, job.id)

    late = await settle(store, job.id, job.attempt, verb, now=at(21))

    assert (late.status, await read(store, job.id)) == (None, before)


@pytest.mark.parametrize("verb", VERBS)
async def test_a_settle_from_an_earlier_life_is_refused(store: Store, worker_id: WorkerId, verb: Verb) -> None:
    job = await started(store, worker_id)
    await settle(store, job.id, 1, Verb.FAIL)
    await operate(store, Verb.REQUEUE, job.id, now=at(5))
    await claim(store, worker_id, job.id, now=at(6))
    before = await read(store, job.id)

    late = await settle(store, job.id, 1, verb, now=at(7))

    assert (late.status, await read(store, job.id)) == (None, before)


# ------- sent twice (S4)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("cancel_requested", [False, True])
async def test_a_move_that_is_sent_again_succeeds_again_and_has_the_effect_of_once(
    store: Store, worker_id: WorkerId, verb: Verb, cancel_requested: bool
) -> None:
    job = await started(store, worker_id)
    if cancel_requested:
        await operate(store, Verb.CANCEL, job.id)
    sent = move(job.id, 1, verb, crashes=1, failure=an_attempt_error())
    first = await store.settle([sent], at(5))
    before = await read(store, job.id)

    second = await store.settle([sent], at(6))

    assert second == first
    assert second[0].status is not None
    assert await read(store, job.id) == before
    assert len(errors_of(before)) == 1


async def test_one_move_twice_in_a_batch_has_the_effect_of_once(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)
    sent = move(job.id, 1, Verb.RETRY, failure=an_attempt_error())

    first, second = await store.settle([sent, sent], at(5))

    assert (first.status, second.status) == (Status.RETRYING, Status.RETRYING)
    assert ((await read(store, job.id)).failures, len(errors_of(await read(store, job.id)))) == (1, 1)


async def test_a_retry_that_is_sent_again_after_its_promotion_is_refused_and_harms_nothing(
    store: Store, worker_id: WorkerId
) -> None:
    job = await started(store, worker_id)
    sent = move(job.id, 1, Verb.RETRY, run_at=at(6), failure=an_attempt_error())
    await store.settle([sent], at(5))
    await store.promote_due(10, at(6))
    before = await read(store, job.id)

    [settled] = await store.settle([sent], at(7))

    assert (settled.status, await read(store, job.id)) == (None, before)
