"""Insert: requests become rows, each request whole or not at all."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from tests.builders import a_new_job, a_submission
from tests.conformance.steps import (
    MICROSECOND,
    at,
    claim,
    insert,
    inserted,
    one_of_each,
    read,
    read_all,
    scan,
    settle,
    statuses,
)
from treadle.ids import WorkerId, new_job_id
from treadle.queue import Priority
from treadle.retry import Backoff
from treadle.states import Status, Verb
from treadle.store.protocol import Inserted, Store


async def test_a_job_reads_back_as_it_was_sent(store: Store, now: datetime) -> None:
    job = a_new_job(
        type="CSV_EXPORT",
        queue="reports",
        priority=Priority.HIGH,
        payload='{"name":"Zoë","n":[1,2.5,null,true]}'.encode(),
        max_attempts=7,
        timeout_seconds=12.5,
    )

    await insert(store, job, now=now)

    stored = await read(store, job.id)
    assert (stored.id, stored.type, stored.queue, stored.priority) == (job.id, "CSV_EXPORT", "reports", Priority.HIGH)
    assert json.loads(stored.payload or b"") == {"name": "Zoë", "n": [1, 2.5, None, True]}
    assert (stored.max_attempts, stored.timeout_seconds) == (7, 12.5)


async def test_a_new_job_has_no_past(store: Store, now: datetime) -> None:
    stored = await read(store, await inserted(store, now=now))

    assert stored.status is Status.QUEUED
    assert (stored.attempt, stored.failures, stored.crashes, stored.cancel_requested) == (0, 0, 0, False)
    assert (stored.created_at, stored.updated_at, stored.queued_at) == (now, now, now)
    assert (stored.run_at, stored.started_at, stored.finished_at, stored.worker_id) == (None, None, None, None)
    assert (stored.result, stored.error, stored.progress) == (None, None, None)
    assert (json.loads(stored.errors), json.loads(stored.artifacts)) == ([], [])


async def test_a_job_for_later_is_scheduled_and_in_no_line(store: Store, worker_id: WorkerId) -> None:
    stored = await read(store, await inserted(store, run_at=at(60)))

    assert (stored.status, stored.run_at, stored.queued_at) == (Status.SCHEDULED, at(60), None)
    assert await scan(store, worker_id) == []


async def test_what_a_worker_needs_reaches_it(store: Store, worker_id: WorkerId, now: datetime) -> None:
    job = a_new_job(max_attempts=9, max_crashes=4, timeout_seconds=0.5, backoff=Backoff(0.25, 8.0))
    await insert(store, job, now=now)

    [claimed] = await claim(store, worker_id, job.id, now=at(2))

    assert (claimed.id, claimed.type, claimed.queue, claimed.priority) == (job.id, job.type, job.queue, job.priority)
    assert json.loads(claimed.payload) == json.loads(job.payload)
    assert (claimed.attempt, claimed.failures, claimed.crashes, claimed.snoozes) == (1, 0, 0, 0)
    assert (claimed.max_attempts, claimed.max_crashes) == (9, 4)
    assert (claimed.timeout_seconds, claimed.backoff) == (0.5, Backoff(0.25, 8.0))
    assert (claimed.created_at, claimed.started_at, claimed.checkpoint) == (now, at(2), None)


async def test_times_are_kept_to_the_microsecond(store: Store) -> None:
    early, late = at(0) + MICROSECOND, at(60) + 999_999 * MICROSECOND

    stored = await read(store, await inserted(store, now=early, run_at=late))

    assert (stored.created_at, stored.run_at) == (early, late)


async def test_times_of_other_zones_are_the_same_moments(store: Store) -> None:
    eastern = at(60).astimezone(timezone(timedelta(hours=-5)))

    stored = await read(store, await inserted(store, run_at=eastern))

    assert stored.run_at == eastern
    assert stored.run_at is not None
    assert stored.run_at.utcoffset() == timedelta(0)


async def test_payloads_of_megabytes_and_of_every_script_are_kept(store: Store) -> None:
    text = "naïve 漢字 \U0001f9f5 \\ \" '; DROP TABLE jobs; --" * 20_000

    stored = await read(store, await inserted(store, payload=json.dumps({"text": text}, ensure_ascii=False).encode()))

    assert json.loads(stored.payload or b"") == {"text": text}


async def test_a_payload_of_megabytes_reaches_the_worker_beside_small_ones(store: Store, worker_id: WorkerId) -> None:
    payloads = [b'{"n":1}', json.dumps({"text": "Zoë" * 700_000}).encode(), b'{"n":2}']
    ids = await insert(store, *(a_new_job(payload=payload) for payload in payloads))

    claimed = await claim(store, worker_id, *ids)

    assert [json.loads(job.payload) for job in claimed] == [json.loads(payload) for payload in payloads]


@pytest.mark.parametrize("payload", [b"{}", b"[]", b"null", b"0", b'""', b'"text"', b"-1.5e300"])
async def test_any_json_value_is_a_payload(store: Store, payload: bytes) -> None:
    stored = await read(store, await inserted(store, payload=payload))

    assert json.loads(stored.payload or b"") == json.loads(payload)


async def test_a_payload_is_read_only_when_it_is_asked_for(store: Store) -> None:
    job_id = await inserted(store)

    without = (await store.get([job_id]))[job_id]

    assert without.payload is None
    assert (await store.get([job_id], payload=True))[job_id].payload is not None


async def test_every_unit_has_its_answer_in_order(store: Store, now: datetime) -> None:
    units = [a_submission(*(a_new_job() for _ in range(size))) for size in (1, 3, 2)]

    results = await store.insert(units, now)

    assert results == [Inserted(tuple(job.id for job in unit.jobs)) for unit in units]


async def test_nothing_to_insert_is_nothing_done(store: Store, now: datetime) -> None:
    assert await store.insert([], now) == []


async def test_unknown_ids_are_left_out_of_what_is_read(store: Store) -> None:
    job_id = await inserted(store)

    found = await store.get([new_job_id(), job_id, new_job_id()])

    assert list(found) == [job_id]
    assert await store.statuses([new_job_id(), job_id]) == {job_id: Status.QUEUED}
    assert (await store.get([]), await store.statuses([])) == ({}, {})


# ------------------------------------------------------------------------------------- sent twice (S4)


async def test_a_request_that_is_sent_again_is_inserted_once_and_answered_alike(store: Store, now: datetime) -> None:
    unit = a_submission(a_new_job(), a_new_job(run_at=at(60)))

    first = await store.insert([unit], now)
    second = await store.insert([unit], at(5))

    assert second == first
    assert sum((await store.counts()).values()) == 2
    assert [job.created_at for job in await read_all(store, [job.id for job in unit.jobs])] == [now, now]


async def test_a_request_that_is_sent_again_leaves_moved_rows_as_they_are(store: Store, worker_id: WorkerId) -> None:
    ids = list((await one_of_each(store, worker_id)).values())
    before = await read_all(store, ids)

    await store.insert([a_submission(a_new_job(id=job_id, payload=b'{"n":2}')) for job_id in ids], at(500))

    assert await read_all(store, ids) == before


async def test_the_rest_of_a_request_that_was_half_known_is_inserted(store: Store, worker_id: WorkerId) -> None:
    known, new = a_new_job(), a_new_job()
    await insert(store, known)
    [claimed] = await claim(store, worker_id, known.id)
    await settle(store, known.id, claimed.attempt, Verb.COMPLETE)

    [result] = await store.insert([a_submission(known, new)], at(5))

    assert result == Inserted((known.id, new.id))
    assert await statuses(store, [known.id, new.id]) == ["completed", "queued"]


async def test_one_job_twice_in_a_batch_is_one_row(store: Store, now: datetime) -> None:
    job = a_new_job()

    await store.insert([a_submission(job, job), a_submission(job)], now)

    assert (await store.counts())[Status.QUEUED] == 1
