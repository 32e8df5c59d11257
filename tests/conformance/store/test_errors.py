"""What failed attempts leave behind."""

from __future__ import annotations

from datetime import datetime

from tests.builders import an_attempt_error
from tests.conformance.steps import (
    VERBS,
    at,
    claim,
    crash,
    errors_of,
    read,
    read_all,
    settle,
    started,
)
from treadle.ids import WorkerId
from treadle.states import Verb
from treadle.store.protocol import Store


async def test_errors_are_kept_in_order_with_all_they_say(store: Store, worker_id: WorkerId, now: datetime) -> None:
    job = await started(store, worker_id)
    first = an_attempt_error(
        attempt=1,
        started_at=at(1),
        ended_at=at(2.5),
        kind="ValueError",
        message="ein \"Wort\"\n'zwei' \\ 漢字",
        traceback="File x\nline 1",
        worker=worker_id,
    )
    await settle(store, job.id, 1, Verb.RETRY, failure=first)
    await store.promote_due(10, at(60))
    await claim(store, worker_id, job.id)

    await settle(store, job.id, 2, Verb.FAIL, failure=an_attempt_error(attempt=2, kind="TypeError"))

    told = errors_of(await read(store, job.id))
    assert told[0] == {
        "attempt": 1,
        "startedAt": "2026-05-04T12:00:01Z",
        "endedAt": "2026-05-04T12:00:02.500000Z",
        "kind": "ValueError",
        "message": "ein \"Wort\"\n'zwei' \\ 漢字",
        "traceback": "File x\nline 1",
        "worker": worker_id,
    }
    assert [(error["attempt"], error["kind"]) for error in told] == [(1, "ValueError"), (2, "TypeError")]


async def test_the_last_25_errors_are_kept_oldest_first(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)
    for attempt in range(1, 28):
        await settle(store, job.id, attempt, Verb.RETRY, failure=an_attempt_error(attempt=attempt))
        await store.promote_due(10, at(60))
        await claim(store, worker_id, job.id)

    stored = await read(store, job.id)

    assert [error["attempt"] for error in errors_of(stored)] == list(range(3, 28))
    assert (stored.failures, stored.attempt) == (27, 28)


async def test_an_end_without_a_failure_adds_no_error(store: Store, worker_id: WorkerId) -> None:
    ids = [(await started(store, worker_id)).id for _ in VERBS]

    for job_id, verb in zip(ids, VERBS, strict=True):
        await settle(store, job_id, 1, verb)

    assert [errors_of(stored) for stored in await read_all(store, ids)] == [[]] * len(VERBS)


async def test_crashes_and_failures_are_two_budgets(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)
    await crash(store, job)
    await store.promote_due(10, at(60))
    [second] = await claim(store, worker_id, job.id)
    assert (second.attempt, second.failures, second.crashes) == (2, 0, 1)

    await settle(store, job.id, 2, Verb.RETRY)

    stored = await read(store, job.id)
    assert (stored.failures, stored.crashes, len(errors_of(stored))) == (1, 1, 1)
