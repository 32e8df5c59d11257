"""Every invariant has its query, and the query finds what violates it and nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.builders import a_key, a_new_job, a_submission, a_worker
from tests.conformance.steps import WAYS, at, one_of_each, started
from treadle.ids import JobId
from treadle.store.invariants import CONDUCT, INVARIANTS, STRUCTURE
from treadle.store.sqlite.checking import CHECKS
from treadle.store.sqlite.store import SQLiteStore

JOBS = "UPDATE jobs SET {} WHERE id = ?"

# Invariant: a way to a job that keeps it, and what breaks it there.
BREAKS: dict[str, list[tuple[str, str]]] = {
    "lease_without_running": [
        ("queued", JOBS.format("worker_id = 'w'")),
        ("processing", JOBS.format("worker_id = NULL")),
    ],
    "final_without_end": [
        ("completed", JOBS.format("finished_at = NULL")),
        ("queued", JOBS.format("finished_at = created_at")),
    ],
    "completed_with_error": [("completed", JOBS.format("error = 'x'"))],
    "failed_without_error": [("failed", JOBS.format("error = NULL"))],
    "waiting_without_time": [
        ("scheduled", JOBS.format("run_at = NULL")),
        ("retrying", JOBS.format("run_at = NULL")),
    ],
    "queued_without_place": [("queued", JOBS.format("queued_at = NULL"))],
    "cancel_forgotten": [("retrying", JOBS.format("cancel_requested = 1"))],
    "payload_missing": [
        ("queued", JOBS.format("payload = 'null'")),
        ("queued", JOBS.format("payload = '[]'")),
        ("queued", "INSERT INTO large_payloads (job_id, payload) VALUES (?, '{}')"),
    ],
    "erased_and_alive": [
        ("queued", JOBS.format("erased_at = 1, payload = '{}'")),
        ("completed", JOBS.format("erased_at = 1, payload = '{}'")),
        ("cancelled", JOBS.format("erased_at = 1")),
    ],
    "queue_undeclared": [("queued", JOBS.format("queue = 'nowhere'"))],
    "key_without_jobs": [("queued", "UPDATE idempotency_keys SET job_ids = '[]' WHERE ? != ''")],
    "job_under_two_keys": [
        (
            "queued",
            "INSERT INTO idempotency_keys SELECT 'other', key, fingerprint, job_ids, expires_at FROM idempotency_keys "
            "WHERE ? != ''",
        ),
    ],
    "orphan_left": [
        ("processing", JOBS.format("worker_id = 'w'")),
        ("processing", "UPDATE workers SET beat_at = 1 WHERE ? != ''"),
        ("processing", "UPDATE workers SET ended_at = 1 WHERE ? != ''"),
    ],
    "due_left": [("scheduled", JOBS.format("run_at = 1")), ("retrying", JOBS.format("run_at = 1"))],
    "budget_exceeded": [
        ("failed", JOBS.format("failures = 4, attempt = 9")),
        ("retrying", JOBS.format("failures = 3, attempt = 9")),
        ("queued", JOBS.format("crashes = 3, attempt = 9")),
        ("scheduled", JOBS.format("snoozes = 1001")),
    ],
    "starts_unaccounted": [
        ("retrying", JOBS.format("crashes = 1")),
        ("processing", JOBS.format("attempt = 0")),
    ],
    "time_reversed": [
        ("processing", JOBS.format("started_at = 1")),
        ("cancelled", JOBS.format("finished_at = 1")),
        ("completed", JOBS.format("started_at = finished_at + 60000001")),
    ],
}
CASES = [(name, way, sql) for name, broken in BREAKS.items() for way, sql in broken]
BEFORE = at(30)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "treadle.db")
    await store.open(migrate=True)
    yield store
    await store.aclose()


def test_every_invariant_has_one_query_and_one_way_to_break_it() -> None:
    assert CHECKS.keys() == INVARIANTS.keys() == BREAKS.keys()
    assert not STRUCTURE.keys() & CONDUCT.keys()


async def test_a_job_at_the_end_of_every_way_keeps_them_all(store: SQLiteStore) -> None:
    worker = a_worker(beat_at=at(1000))
    await store.register_worker(worker)
    await one_of_each(store, worker.id)
    await started(store, worker.id, payload=b'{"text":"' + b"x" * 300_000 + b'"}')
    await store.insert([a_submission(a_new_job(), key=a_key())], at(0))

    assert await store.check(tuple(INVARIANTS), BEFORE, 10) == {}


@pytest.mark.parametrize(("name", "way", "sql"), CASES)
async def test_what_is_broken_is_found_and_nothing_else(
    store: SQLiteStore, tmp_path: Path, name: str, way: str, sql: str
) -> None:
    worker = a_worker(beat_at=at(1000))
    await store.register_worker(worker)
    ids = {w: await WAYS[w](store, worker.id) for w in ("queued", "completed", "failed", "cancelled", "processing")}
    broken: JobId = ids.get(way) or await WAYS[way](store, worker.id)
    await store.insert([a_submission(a_new_job(), key=a_key())], at(0))
    with sqlite3.connect(tmp_path / "treadle.db") as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(sql, (broken,))
    connection.close()

    found = await store.check(tuple(INVARIANTS), BEFORE, 10)

    assert name in found
    if "key" not in name and "UPDATE workers" not in sql:
        assert found[name] == [broken]
    assert set(found) <= {name, *EXPECTED_TOO.get(sql, ())}


EXPECTED_TOO = {
    # A row with two things wrong is told twice.
    JOBS.format("worker_id = NULL"): ("orphan_left",),
    JOBS.format("erased_at = 1, payload = '{}'"): (),
}


async def test_no_more_is_told_than_was_asked_for(store: SQLiteStore, tmp_path: Path) -> None:
    await store.insert([a_submission(*(a_new_job(queue="nowhere") for _ in range(5)))], at(0))
    with sqlite3.connect(tmp_path / "treadle.db") as connection:
        connection.execute("DELETE FROM queues")
    connection.close()
    found = await store.check(("queue_undeclared", "due_left"), BEFORE, 3)
    assert [*found] == ["queue_undeclared"]
    assert len(found["queue_undeclared"]) == 3
