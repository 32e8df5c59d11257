"""Erase: what a final job was told and what it told goes; the row stays, marked, and is never run again."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.builders import an_attempt_error
from tests.conformance.steps import (
    WAYS,
    at,
    claim,
    errors_of,
    one_of_each,
    operate,
    read,
    settle,
    started,
    status_of,
)
from treadle.ids import JobId, WorkerId, new_job_id
from treadle.states import Status, Verb
from treadle.store.protocol import ERASED_TEXT, Note, Operated, Store

FINAL = {Status.COMPLETED, Status.FAILED, Status.DEAD, Status.CANCELLED}
SECRET = "Grace Hopper"


@pytest.mark.parametrize("way", WAYS)
async def test_only_a_final_job_is_erased(store: Store, worker_id: WorkerId, way: str) -> None:
    job_id = await WAYS[way](store, worker_id)
    before = await read(store, job_id)
    assert before.erased_at is None

    [erased] = await store.erase([job_id], at(100))

    is_final = status_of(way) in FINAL
    assert erased == Operated(
        job_id, before.status, before.status if is_final else None, before.type, before.queue, before.priority
    )
    after = await read(store, job_id)
    if not is_final:
        assert after == before
        return
    assert (after.payload, after.result, after.progress) == (b"{}", None, None)
    assert after.error == (None if before.error is None else ERASED_TEXT)
    assert (after.erased_at, after.updated_at) == (at(100), at(100))
    kept = {"payload", "result", "progress", "error", "errors", "erased_at", "updated_at"}
    assert {n: v for n, v in msgspec.structs.asdict(after).items() if n not in kept} == {
        n: v for n, v in msgspec.structs.asdict(before).items() if n not in kept
    }


async def a_failed_job(store: Store, worker_id: WorkerId, text: str = SECRET) -> JobId:
    """A job with ``text`` everywhere that a job has text of its user's."""
    job = await started(store, worker_id, payload=json.dumps({"name": text}).encode())
    told = json.dumps({"done": 1, "message": text}).encode()
    await store.note([Note(job.id, 1, progress=told, checkpoint=told)], at(0))
    failure = an_attempt_error(message=f"no such name: {text}", traceback=f"Traceback: {text}")
    await settle(store, job.id, 1, Verb.RETRY, failure=failure, error=text, run_at=at(1), progress=told)
    await store.promote_due(10, at(1))
    await claim(store, worker_id, job.id, now=at(1))
    second = an_attempt_error(attempt=2, message=text, traceback=None)
    await settle(store, job.id, 2, Verb.FAIL, failure=second, error=text, progress=told)
    return job.id


async def test_error_texts_are_replaced_and_the_story_stays(store: Store, worker_id: WorkerId) -> None:
    job_id = await a_failed_job(store, worker_id)
    before = errors_of(await read(store, job_id))

    await store.erase([job_id], at(9))

    job = await read(store, job_id)
    assert SECRET not in repr(job)
    assert (job.error, job.attempt, job.failures) == (ERASED_TEXT, 2, 2)
    assert errors_of(job) == [{**error, "message": ERASED_TEXT, "traceback": None} for error in before]


async def test_an_erased_job_is_not_requeued_and_may_be_buried_and_deleted(store: Store, worker_id: WorkerId) -> None:
    job_id = await a_failed_job(store, worker_id)
    await store.erase([job_id], at(9))

    refused = await operate(store, Verb.REQUEUE, job_id)
    assert (refused.before, refused.after) == (Status.FAILED, None)
    assert (await operate(store, Verb.BURY, job_id)).after is Status.DEAD
    assert (await operate(store, Verb.REQUEUE, job_id)).after is None
    assert (await store.delete([job_id]))[0].after is Status.DEAD


async def test_erased_twice_is_erased_once(store: Store, worker_id: WorkerId) -> None:
    job_id = await a_failed_job(store, worker_id)
    await store.erase([job_id], at(9))
    first = await read(store, job_id)

    [again] = await store.erase([job_id], at(20))

    assert again.after is Status.FAILED
    assert await read(store, job_id) == msgspec.structs.replace(first, updated_at=at(20))


@pytest.mark.parametrize("size", [1, 300_000])
async def test_a_payload_of_any_size_is_erased(store: Store, worker_id: WorkerId, size: int) -> None:
    job = await started(store, worker_id, payload=json.dumps({"name": SECRET * size}).encode())
    await settle(store, job.id, 1, Verb.COMPLETE, result=json.dumps(SECRET).encode())

    await store.erase([job.id], at(9))

    assert (await read(store, job.id)).payload == b"{}"


async def test_every_id_has_its_answer_and_neighbours_keep_what_they_have(store: Store, worker_id: WorkerId) -> None:
    ids = await one_of_each(store, worker_id)
    unknown = new_job_id()
    wanted = [ids["failed"], unknown, ids["processing"]]
    before = {name: await read(store, job_id) for name, job_id in ids.items() if job_id not in wanted}

    erased = await store.erase(wanted, at(9))

    assert [(e.before, e.after) for e in erased] == [
        (Status.FAILED, Status.FAILED),
        (None, None),
        (Status.PROCESSING, None),
    ]
    assert {name: await read(store, ids[name]) for name in before} == before
    assert await store.erase([], at(9)) == []
