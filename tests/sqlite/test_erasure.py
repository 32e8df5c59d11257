"""Erased text is gone from the file too, and not only from its rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.builders import NOW, a_move, a_new_job, a_submission, a_worker, an_attempt_error
from treadle.states import Verb
from treadle.store.protocol import ClaimRequest, Note
from treadle.store.sqlite.store import SQLiteStore

SECRET = "canary-4711-grace-hopper"


@pytest.mark.parametrize("copies", [1, 20, 20_000])
async def test_no_page_of_the_file_holds_what_was_erased(tmp_path: Path, copies: int) -> None:
    store = SQLiteStore(tmp_path / "treadle.db")
    await store.open(migrate=True)
    # Builds of SQLite differ in whether they do it always.
    await store._connections.on_writer(lambda connection: connection.execute("PRAGMA secure_delete = OFF"))
    worker = a_worker()
    await store.register_worker(worker)
    payload = json.dumps({"names": [SECRET] * copies}).encode()
    jobs = [a_new_job(payload=payload), a_new_job()]
    await store.insert([a_submission(*jobs)], NOW)
    ids = [job.id for job in jobs]
    await store.claim(ClaimRequest(worker_id=worker.id, limit=2, types=["TEST"], ids=ids), NOW)
    failed = an_attempt_error(message=SECRET * min(copies, 100))
    told = json.dumps(SECRET).encode()
    await store.note([Note(ids[0], 1, progress=told, checkpoint=told)], NOW)
    await store.settle([a_move(job_id=ids[0], verb=Verb.FAIL, result=None, error=SECRET, failure=failed)], NOW)

    await store.erase(ids[:1], NOW)
    usual = await store._connections.on_writer(lambda c: c.execute("PRAGMA secure_delete").fetchone()[0])
    await store.aclose()

    assert usual == 0
    assert SECRET.encode() not in (tmp_path / "treadle.db").read_bytes()
    assert not (tmp_path / "treadle.db-wal").exists()
