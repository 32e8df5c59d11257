"""A cancel that was requested is never forgotten."""

from __future__ import annotations

import json

import pytest

from tests.conformance.steps import (
    LEAST,
    at,
    claim,
    crash,
    operate,
    read,
    settle,
    started,
)
from treadle.ids import WorkerId
from treadle.states import Status, Verb
from treadle.store.protocol import Store


@pytest.mark.parametrize("verb", [Verb.RETRY, Verb.FAIL, Verb.BURY, Verb.SNOOZE, Verb.RELEASE, Verb.ABORT])
async def test_once_a_cancel_was_requested_every_end_but_completion_cancels(
    store: Store, worker_id: WorkerId, verb: Verb
) -> None:
    job = await started(store, worker_id)
    await operate(store, Verb.CANCEL, job.id, now=at(1))

    settled = await settle(store, job.id, 1, verb, now=at(5))

    stored = await read(store, job.id)
    assert (settled.status, stored.status, stored.finished_at) == (Status.CANCELLED, Status.CANCELLED, at(5))
    assert (stored.run_at, stored.cancel_requested, stored.worker_id) == (None, True, None)
    assert stored.failures == LEAST[verb].get("failures", 0)
    assert (await store.promote_due(10, at(1000))).hints == ()


async def test_a_crash_cancels_a_job_that_was_asked_to_stop(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)
    await operate(store, Verb.CANCEL, job.id)

    settled = await crash(store, job, now=at(20))

    stored = await read(store, job.id)
    assert (settled.status, stored.status, stored.crashes) == (Status.CANCELLED, Status.CANCELLED, 1)


async def test_a_job_that_completes_although_it_was_asked_to_stop_is_completed(
    store: Store, worker_id: WorkerId
) -> None:
    job = await started(store, worker_id)
    await operate(store, Verb.CANCEL, job.id)

    settled = await settle(store, job.id, 1, Verb.COMPLETE, result=b'"done"')

    stored = await read(store, job.id)
    assert (settled.status, stored.status) == (Status.COMPLETED, Status.COMPLETED)
    assert (json.loads(stored.result or b""), stored.cancel_requested) == ("done", True)


async def test_a_requeue_forgets_the_request(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)
    await operate(store, Verb.CANCEL, job.id)
    await settle(store, job.id, 1, Verb.RETRY)
    await operate(store, Verb.REQUEUE, job.id)
    assert (await read(store, job.id)).cancel_requested is False
    await claim(store, worker_id, job.id)

    settled = await settle(store, job.id, 2, Verb.RETRY)

    assert settled.status is Status.RETRYING
