"""Every invariant has its query, which finds what violates it, though the table's own CHECKs forbid it, and no more."""

from __future__ import annotations

import asyncpg
import pytest

from tests.builders import a_key, a_new_job, a_submission, a_worker
from tests.conformance.steps import WAYS, at, inserted
from tests.postgres.conftest import Beside, NewStore
from tests.servers import running
from treadle.errors import Unavailable
from treadle.store.invariants import INVARIANTS
from treadle.store.postgres.checking import CHECKS
from treadle.store.postgres.store import PostgresStore
from treadle.testing import FaultProxy

JOB = "UPDATE jobs SET {} WHERE id = $1"
ANY = "UPDATE {} WHERE $1::uuid IS NOT NULL"
LONG_AGO = "timestamptz '2001-01-01'"
NOBODY = "'00000000-0000-0000-0000-000000000000'"

# Invariant: a way to a job that keeps it, and what breaks it there.
BREAKS: dict[str, list[tuple[str, str]]] = {
    "lease_without_running": [
        ("queued", JOB.format(f"worker_id = {NOBODY}")),
        ("processing", JOB.format("worker_id = NULL")),
    ],
    "final_without_end": [
        ("completed", JOB.format("finished_at = NULL")),
        ("queued", JOB.format("finished_at = created_at")),
    ],
    "completed_with_error": [("completed", JOB.format("error = 'x'"))],
    "failed_without_error": [("failed", JOB.format("error = NULL"))],
    "waiting_without_time": [("scheduled", JOB.format("run_at = NULL")), ("retrying", JOB.format("run_at = NULL"))],
    "queued_without_place": [("queued", JOB.format("queued_at = NULL"))],
    "cancel_forgotten": [("retrying", JOB.format("cancel_requested = true"))],
    "payload_missing": [("queued", JOB.format("payload = 'null'")), ("queued", JOB.format("payload = '[]'"))],
    "erased_and_alive": [
        ("queued", JOB.format("erased_at = now(), payload = '{}'")),
        ("completed", JOB.format("erased_at = now(), payload = '{}'")),
        ("cancelled", JOB.format("erased_at = now()")),
    ],
    "queue_undeclared": [("queued", JOB.format("queue = 'nowhere'"))],
    "key_without_jobs": [("queued", ANY.format("idempotency_keys SET job_ids = '{}'"))],
    "job_under_two_keys": [
        (
            "queued",
            "INSERT INTO idempotency_keys SELECT 'other', key, fingerprint, job_ids, expires_at FROM idempotency_keys "
            "WHERE $1::uuid IS NOT NULL",
        ),
    ],
    "orphan_left": [
        ("processing", JOB.format(f"worker_id = {NOBODY}")),
        ("processing", ANY.format(f"workers SET beat_at = {LONG_AGO}")),
        ("processing", ANY.format(f"workers SET ended_at = {LONG_AGO}")),
    ],
    "due_left": [
        ("scheduled", JOB.format(f"run_at = {LONG_AGO}")),
        ("retrying", JOB.format(f"run_at = {LONG_AGO}")),
    ],
    "budget_exceeded": [
        ("failed", JOB.format("failures = 4, attempts = 9")),
        ("retrying", JOB.format("failures = 3, attempts = 9")),
        ("queued", JOB.format("crashes = 3, attempts = 9")),
        ("scheduled", JOB.format("snoozes = 1001")),
    ],
    "starts_unaccounted": [("retrying", JOB.format("crashes = 1")), ("processing", JOB.format("attempts = 0"))],
    "time_reversed": [
        ("processing", JOB.format(f"started_at = {LONG_AGO}")),
        ("cancelled", JOB.format(f"finished_at = {LONG_AGO}")),
        ("completed", JOB.format("started_at = finished_at + interval '61 seconds'")),
    ],
}
CASES = [(name, way, sql) for name, broken in BREAKS.items() for way, sql in broken]
BEFORE = at(30)
ALSO = {JOB.format("worker_id = NULL"): "orphan_left"}
"""A row with two things wrong is told twice."""


async def without_constraints(connection: asyncpg.Connection) -> None:
    """What a database is that was loaded without them."""
    named = await connection.fetch(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'jobs'::regclass AND contype = 'c'"
    )
    for row in named:
        await connection.execute(f'ALTER TABLE jobs DROP CONSTRAINT "{row["conname"]}"')


def test_every_invariant_has_one_query_and_one_way_to_break_it() -> None:
    assert CHECKS.keys() == INVARIANTS.keys() == BREAKS.keys()


@pytest.mark.parametrize(("name", "way", "sql"), CASES)
async def test_what_is_broken_is_found_and_nothing_else(
    store: PostgresStore, beside: Beside, name: str, way: str, sql: str
) -> None:
    worker = a_worker(beat_at=at(1000))
    await store.register_worker(worker)
    ids = {w: await WAYS[w](store, worker.id) for w in ("queued", "completed", "failed", "cancelled", "processing")}
    broken = ids.get(way) or await WAYS[way](store, worker.id)
    [keyed] = await store.insert([a_submission(a_new_job(), key=a_key())], at(0))
    connection = await beside()
    await without_constraints(connection)
    await connection.execute(sql, broken)

    found = await store.check(tuple(INVARIANTS), BEFORE, 10)

    assert name in found
    if "key" not in name and "UPDATE workers" not in sql:
        assert found[name] == [broken]
    if name == "job_under_two_keys":
        assert found[name] == list(keyed.ids)  # type: ignore[union-attr]
    assert set(found) <= {name, ALSO.get(sql)}


async def test_a_check_behind_a_pgbouncer_leaves_no_session_changed(address: str, new_store: NewStore) -> None:
    behind = running.pgbouncer().in_front_of(address)
    store = new_store(behind, pgbouncer=True)
    await store.open(migrate=True)
    await inserted(store)

    assert await store.check(tuple(INVARIANTS), BEFORE, 10) == {}

    connection = await asyncpg.connect(behind, statement_cache_size=0)
    assert await connection.fetchval("SELECT current_setting('statement_timeout')") == "0"
    await connection.close()


async def test_a_server_that_is_away_is_said_so(new_store: NewStore, behind_proxy: str, proxy: FaultProxy) -> None:
    store = new_store(behind_proxy)
    await store.open(migrate=True)
    await proxy.aclose()
    with pytest.raises(Unavailable):
        await store.check(tuple(INVARIANTS), BEFORE, 10)
