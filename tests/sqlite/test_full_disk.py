"""A full disk: what does not fit is refused whole, what was there stays, and room again is enough to go on."""

from __future__ import annotations

import json
import sqlite3

import pytest

from tests.builders import NOW, a_new_job, a_submission
from tests.conformance.steps import a_worker_in, move, scan
from tests.sqlite.conftest import Beside
from treadle.errors import OutcomeUnknown, Unavailable
from treadle.states import Status, Verb
from treadle.store.sqlite.store import SQLiteStore


async def limit_pages(store: SQLiteStore, more: int | None) -> None:
    """Let the file grow by so many pages; ``None``: as far as it likes."""

    def work(connection: sqlite3.Connection) -> None:
        [count] = connection.execute("PRAGMA page_count").fetchone()
        limit = 2**30 if more is None else count + more
        connection.execute(f"PRAGMA max_page_count = {limit}")

    await store._connections.on_writer(work)


def intact(beside: Beside) -> bool:
    return bool(beside().execute("PRAGMA integrity_check").fetchall() == [("ok",)])


async def test_submissions_fail_whole_on_a_full_disk_and_succeed_when_there_is_room(
    store: SQLiteStore, beside: Beside
) -> None:
    early = a_submission(payload=json.dumps("x" * 10_000).encode())
    await store.insert([early], NOW)
    await limit_pages(store, more=3)
    large = a_submission(*(a_new_job(payload=json.dumps("y" * 5_000).encode()) for _ in range(10)))

    for _ in range(3):
        with pytest.raises(Unavailable) as raised:
            await store.insert([large], NOW)
        assert not isinstance(raised.value, OutcomeUnknown)

    [job_id] = [job.id for job in early.jobs]
    stored = await store.get([job_id, *(job.id for job in large.jobs)], payload=True)
    assert {found: job.payload for found, job in stored.items()} == {job_id: early.jobs[0].payload}
    assert intact(beside)
    await limit_pages(store, more=None)
    await store.insert([large], NOW)
    assert (await store.counts())[Status.QUEUED] == 11
    assert intact(beside)


async def test_a_settle_that_does_not_fit_leaves_its_jobs_running(store: SQLiteStore, beside: Beside) -> None:
    worker_id = await a_worker_in(store)
    await store.insert([a_submission(*(a_new_job() for _ in range(10)))], NOW)
    jobs = await scan(store, worker_id)
    await limit_pages(store, more=2)
    moves = [move(job.id, 1, Verb.COMPLETE, result=json.dumps("z" * 5_000).encode()) for job in jobs]

    with pytest.raises(Unavailable):
        await store.settle(moves, NOW)

    assert (await store.counts())[Status.PROCESSING] == 10
    assert intact(beside)
    await limit_pages(store, more=None)
    assert {settled.status for settled in await store.settle(moves, NOW)} == {Status.COMPLETED}
