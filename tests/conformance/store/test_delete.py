"""Delete: final jobs go for good, and nothing else does."""

from __future__ import annotations

import pytest

from tests.builders import a_key, a_new_job, a_submission
from tests.conformance.steps import WAYS, at, inserted, one_of_each, operate, read, settle, started, status_of
from treadle.ids import WorkerId, new_job_id
from treadle.states import Status, Verb
from treadle.store.protocol import Inserted, Operated, Replayed, Store

FINAL = {Status.COMPLETED, Status.FAILED, Status.DEAD, Status.CANCELLED}


@pytest.mark.parametrize("way", WAYS)
async def test_only_a_final_job_is_deleted(store: Store, worker_id: WorkerId, way: str) -> None:
    job_id = await WAYS[way](store, worker_id)
    before = await read(store, job_id)

    [deleted] = await store.delete([job_id])

    is_final = status_of(way) in FINAL
    assert deleted == Operated(
        job_id, before.status, before.status if is_final else None, before.type, before.queue, before.priority
    )
    if is_final:
        assert await store.get([job_id]) == {}
    else:
        assert await read(store, job_id) == before


async def test_every_id_has_its_answer_and_no_other_job_goes(store: Store, worker_id: WorkerId) -> None:
    ids = await one_of_each(store, worker_id)
    unknown = new_job_id()
    wanted = [ids["completed"], unknown, ids["queued"], ids["dead"], ids["completed"]]

    deleted = await store.delete(wanted)

    assert [(d.job_id, d.before, d.after) for d in deleted] == [
        (ids["completed"], Status.COMPLETED, Status.COMPLETED),
        (unknown, None, None),
        (ids["queued"], Status.QUEUED, None),
        (ids["dead"], Status.DEAD, Status.DEAD),
        (ids["completed"], None, None),
    ]
    left = await store.statuses(list(ids.values()))
    assert set(left) == set(ids.values()) - {ids["completed"], ids["dead"]}
    assert await store.delete([]) == []


async def test_a_large_payload_goes_with_its_job(store: Store, worker_id: WorkerId) -> None:
    payload = b'{"text":"' + b"x" * 300_000 + b'"}'
    job = await started(store, worker_id, payload=payload)
    await settle(store, job.id, 1, Verb.COMPLETE)

    await store.delete([job.id])

    # The same id anew: nothing of the old one may be left to be found under it.
    await inserted(store, id=job.id, payload=b'{"new":1}')
    assert (await read(store, job.id)).payload == b'{"new":1}'


async def test_a_deleted_jobs_key_still_answers_with_its_id(store: Store, worker_id: WorkerId) -> None:
    unit = a_submission(a_new_job(), key=a_key())
    [first] = await store.insert([unit], at(0))
    await operate(store, Verb.CANCEL, unit.jobs[0].id)
    await store.delete([unit.jobs[0].id])

    [again] = await store.insert([a_submission(a_new_job(), key=a_key())], at(1))

    assert isinstance(first, Inserted)
    assert again == Replayed(first.ids)
