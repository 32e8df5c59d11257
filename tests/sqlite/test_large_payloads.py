"""A payload of megabytes is written once, not with every step of its job, and goes when its job goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.builders import a_submission, a_worker
from tests.conformance.steps import an_id_at, at, started
from tests.sqlite.conftest import Beside
from treadle.errors import Unstorable
from treadle.states import Status, Verb
from treadle.store.protocol import Expiry, Move, Note
from treadle.store.sqlite.store import SQLiteStore

LARGE = json.dumps({"text": "x" * 2_000_000}).encode()


async def test_a_step_of_a_large_job_writes_little(store: SQLiteStore, path: Path) -> None:
    worker = a_worker()
    await store.register_worker(worker)
    job = await started(store, worker.id, payload=LARGE)
    log = path.with_name(path.name + "-wal")
    before_bytes = log.stat().st_size

    assert await store.note([Note(job.id, job.attempt, progress=b'{"done":1}')], at(1)) == [True]

    assert 0 < log.stat().st_size - before_bytes < 100_000


async def test_it_is_deleted_with_its_job(store: SQLiteStore, beside: Beside) -> None:
    worker = a_worker()
    await store.register_worker(worker)
    job = await started(store, worker.id, id=an_id_at(at(0)), payload=LARGE)
    assert beside().execute("SELECT count(*) FROM large_payloads").fetchone() == (1,)
    await store.settle([Move(job_id=job.id, attempt=job.attempt, verb=Verb.COMPLETE)], at(1))

    assert await store.prune([Expiry(Status.COMPLETED, at(10))], 100, at(10)) == {Status.COMPLETED: 1}

    assert beside().execute("SELECT count(*) FROM large_payloads").fetchone() == (0,)


async def test_one_that_is_not_utf8_is_refused(store: SQLiteStore) -> None:
    with pytest.raises(Unstorable):
        await store.insert([a_submission(payload=LARGE[:-2] + b'\xff"}')], at(0))
