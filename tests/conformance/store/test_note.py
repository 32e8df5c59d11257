"""Note: progress and checkpoints of the running attempt, and of no other."""

from __future__ import annotations

import json

import pytest

from tests.conformance.steps import (
    WAYS,
    at,
    claim,
    crash,
    operate,
    read,
    settle,
    started,
)
from treadle.ids import WorkerId, new_job_id
from treadle.states import Verb
from treadle.store.protocol import Note, Store


async def test_progress_is_read_back(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)

    assert await store.note([Note(job.id, 1, progress='{"done":1,"message":"Zoë"}'.encode())], at(5)) == [True]

    stored = await read(store, job.id)
    assert json.loads(stored.progress or b"") == {"done": 1, "message": "Zoë"}
    assert stored.updated_at == at(5)


async def test_a_note_leaves_what_it_does_not_name(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)
    await store.note([Note(job.id, 1, progress=b"1", checkpoint=b'"one"')], at(1))

    await store.note([Note(job.id, 1, progress=b"2")], at(2))
    await store.note([Note(job.id, 1, checkpoint=b'"two"')], at(3))
    await store.note([Note(job.id, 1)], at(4))

    assert json.loads((await read(store, job.id)).progress or b"") == 2
    await settle(store, job.id, 1, Verb.RELEASE)
    [again] = await claim(store, worker_id, job.id)
    assert json.loads(again.checkpoint or b"") == "two"


@pytest.mark.parametrize("way", WAYS)
async def test_only_a_running_job_takes_notes(store: Store, worker_id: WorkerId, way: str) -> None:
    job_id = await WAYS[way](store, worker_id)
    before = await read(store, job_id)

    [written] = await store.note([Note(job_id, max(1, before.attempt), progress=b"7")], at(100))

    assert written is way.startswith("processing")
    if not written:
        assert await read(store, job_id) == before


@pytest.mark.parametrize("attempt", [-1, 0, 1, 3, 1000])
async def test_another_attempt_than_the_running_one_writes_nothing(
    store: Store, worker_id: WorkerId, attempt: int
) -> None:
    job = await started(store, worker_id)
    await settle(store, job.id, 1, Verb.RELEASE)
    await claim(store, worker_id, job.id)
    before = await read(store, job.id)

    assert await store.note([Note(job.id, attempt, progress=b"7", checkpoint=b"7")], at(9)) == [False]

    assert await read(store, job.id) == before
    await settle(store, job.id, 2, Verb.RELEASE)
    [again] = await claim(store, worker_id, job.id)
    assert again.checkpoint is None


async def test_a_refused_note_fails_no_neighbour(store: Store, worker_id: WorkerId) -> None:
    first, second = [await started(store, worker_id) for _ in range(2)]
    notes = [
        Note(first.id, 1, progress=b"1"),
        Note(new_job_id(), 1, progress=b"1"),
        Note(second.id, 9, progress=b"1"),
        Note(second.id, 1, progress=b"1"),
    ]

    assert await store.note(notes, at(5)) == [True, False, False, True]


async def test_of_two_notes_in_a_batch_the_later_one_stands(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)

    await store.note([Note(job.id, 1, progress=b"1"), Note(job.id, 1, progress=b"2")], at(5))

    assert json.loads((await read(store, job.id)).progress or b"") == 2


async def test_a_note_does_not_stop_a_cancel_request(store: Store, worker_id: WorkerId) -> None:
    job = await started(store, worker_id)
    await operate(store, Verb.CANCEL, job.id)

    assert await store.note([Note(job.id, 1, progress=b"1")], at(5)) == [True]

    assert (await read(store, job.id)).cancel_requested is True


# ------------------------------------------------------------------------------- a checkpoint outlives the attempt


@pytest.mark.parametrize("end", ["retry", "crash", "snooze", "release", "fail and requeue", "cancel and requeue"])
async def test_a_checkpoint_reaches_the_next_attempt(store: Store, worker_id: WorkerId, end: str) -> None:
    job = await started(store, worker_id)
    await store.note([Note(job.id, 1, checkpoint=b'{"page":7}')], at(1))

    match end:
        case "retry":
            await settle(store, job.id, 1, Verb.RETRY)
        case "crash":
            await crash(store, job)
        case "snooze":
            await settle(store, job.id, 1, Verb.SNOOZE)
        case "release":
            await settle(store, job.id, 1, Verb.RELEASE)
        case "fail and requeue":
            await settle(store, job.id, 1, Verb.FAIL)
            await operate(store, Verb.REQUEUE, job.id)
        case "cancel and requeue":
            await operate(store, Verb.CANCEL, job.id)
            await settle(store, job.id, 1, Verb.ABORT)
            await operate(store, Verb.REQUEUE, job.id)
    await store.promote_due(10, at(60))
    [again] = await claim(store, worker_id, job.id, now=at(60))

    assert (again.attempt, json.loads(again.checkpoint or b"")) == (2, {"page": 7})
