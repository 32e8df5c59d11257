"""Plans: every statement walks the index it was written for and reads no more than it must, whether statistics know
what is in the table or were taken when it was empty. (On a table that is empty any plan will do, but for statements
without parameters: theirs is kept.)"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from tests.builders import NOW
from tests.servers import running
from treadle.ids import new_worker_id
from treadle.store.postgres.connection import SESSION
from treadle.store.postgres.statement import SQL
from treadle.store.postgres.store import PostgresStore

BY_ID = {"jobs_pkey"}
QUEUED, DUE, PROCESSING, STATUS = {"jobs_queued"}, {"jobs_due"}, {"jobs_processing"}, {"jobs_status"}

# Statement: the indexes of jobs that it may use, all of them or those that the statistics make worth it.
PLANS: dict[str, set[str]] = {
    "claim": BY_ID,
    "any_queued": QUEUED,
    "claim_scan": QUEUED | BY_ID,
    "settle": BY_ID,
    "complete": BY_ID,
    "settled": BY_ID,
    "note": BY_ID,
    "next_due": DUE,
    "promote_due": DUE | BY_ID,
    "cancel": BY_ID,
    "requeue": BY_ID,
    "bury": BY_ID,
    "delete": BY_ID,
    "erase": BY_ID,
    "get": BY_ID,
    "statuses": BY_ID,
    "orphans": PROCESSING,
    "orphans_of": PROCESSING,
    "beat": PROCESSING,
    "beat_ids": BY_ID,
    "prune_workers": PROCESSING,
    "prune_final": STATUS | BY_ID,
    "prune_completed": BY_ID,
    "page_all": BY_ID,
    "page_status": STATUS,
    "page_live": QUEUED | PROCESSING,
    "counts": QUEUED | PROCESSING | STATUS | BY_ID,
    "counts_few": STATUS,
    "queues": QUEUED | PROCESSING,
    "lines": QUEUED,
}
FREE = {
    "insert",
    "insert_keyed",
    "register_worker",
    "end_worker",
    "workers",
    "beats",
    "ended_workers",
    "declare_queues",
    "set_paused",
    "queue_names",
    "prune_keys",
    "ping",
    "anchor",
    "publish_types",
    "types",
    "prune_types",
    "outgrown",
    "analyze",
}
"""Plain inserts, and statements that do not touch jobs."""
RUNNING = {"queues", "lines", "prune_workers", "orphans"}
"""They read all that runs now, which is little, or of each line as much as is counted."""

WINDOWED = {"page_all", "page_live", "page_status", "counts", "counts_few", "prune_completed"}
FINDS_NONE = {"beat", "beat_ids"}
"""No job points to the worker that asks."""
BATCH, WINDOW, ROWS = 100, 1000, 30_000
FILL = """
INSERT INTO jobs (id, type, queue, priority, status, max_attempts, max_crashes, timeout_seconds, backoff_base_seconds,
                  backoff_cap_seconds, payload, created_at, updated_at, run_at, queued_at, finished_at, worker_id,
                  error)
SELECT lpad(to_hex(i), 32, '0')::uuid, 'TEST', 'q' || (i % 7), CASE i % 2 WHEN 0 THEN 'high' ELSE 'default' END,
       status, 3, 3, 900, 2, 600, '{}', now, now, CASE WHEN status = 'scheduled' THEN now END,
       CASE WHEN status = 'queued' THEN now END, CASE WHEN status IN ('completed', 'failed') THEN now END,
       CASE WHEN status = 'processing' THEN lpad(to_hex(i % 5), 32, '0')::uuid END,
       CASE WHEN status = 'failed' THEN 'no' END
FROM (SELECT i, timestamptz '2026-05-04' + i * interval '1 second' AS now,
             CASE i % 20 WHEN 0 THEN 'queued' WHEN 1 THEN 'processing' WHEN 2 THEN 'scheduled' WHEN 3 THEN 'failed'
                         ELSE 'completed' END AS status FROM generate_series(1, $1::int) AS i) AS made
ON CONFLICT (id) DO NOTHING
"""
REGISTER = """
INSERT INTO workers (id, host, pid, version, queues, concurrency, started_at, beat_at)
VALUES ($1::uuid, 'host', 1, '1', '{}', 1, now(), now())
"""
VALUES: dict[str, Any] = {
    "now": NOW + timedelta(days=1),
    "before": NOW + timedelta(days=1),
    "worker_id": new_worker_id(),
    "worker_ids": [f"{number:032x}" for number in range(2)],
    "running": 1,
    "types": ["TEST"],
    "queues": None,
    "queue": "q1",
    "type": "TEST",
    "priority": "high",
    "status": "failed",
    "sources": ["failed"],
    "text": "erased",
    "payload": False,
    "limit": BATCH,
    "window": WINDOW,
    "cap": WINDOW,
    "after": "00000000-0000-0000-0000-000000000000",
    "cutoff": "7fffffff-ffff-ffff-ffff-ffffffffffff",
    "below": "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "after_high": "",
    "after_default": "q2",
    "mark_queues": ["q3"],
    "mark_priorities": ["high"],
    "marks": [NOW - timedelta(days=9)],
    "max_kept_errors": 25,
    "result": b"null",
    "attempt": None,
}
TARGETS = {"complete": "completed", "cancel": "cancelled", "requeue": "queued", "bury": "dead"}
STATUSES = {"page_live": ["queued", "processing"], "page_status": ["failed", "dead"], "page_all": ["completed"]}


@pytest.fixture(scope="module", params=["statistics of an empty table", "statistics of finished jobs", "analyzed"])
def filled(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    with running.machine_postgres().database() as address:
        yield request.param, address


@pytest.fixture
async def connection(filled: tuple[str, str]) -> AsyncIterator[asyncpg.Connection]:
    how, address = filled
    store = PostgresStore(address)
    await store.open(migrate=True)
    await store.aclose()
    connection = await asyncpg.connect(address, server_settings=SESSION)
    await connection.set_type_codec("json", schema="pg_catalog", encoder=bytes, decoder=bytes, format="binary")
    if not await connection.fetchval("SELECT count(*) FROM jobs"):
        await connection.execute("ANALYZE")
        await connection.execute("INSERT INTO queues SELECT 'q' || i FROM generate_series(0, 6) AS i")
        if how == "statistics of finished jobs":
            await connection.execute(FILL, ROWS)
            await connection.execute("DELETE FROM jobs WHERE status <> 'completed'")
            await connection.execute("VACUUM ANALYZE jobs")
        await connection.execute(FILL, ROWS)
        await connection.execute(REGISTER, VALUES["worker_id"])
        if how == "analyzed":
            await connection.execute("VACUUM ANALYZE")
    yield connection
    await connection.close()


async def plan_of(connection: asyncpg.Connection, name: str, options: str = "") -> list[dict[str, Any]]:
    """Every node of the plan that a batch of a hundred gets."""
    statement = SQL[name]
    values = {**VALUES, **_batch(), "statuses": STATUSES.get(name), "target": TARGETS.get(name)}
    rows = await connection.fetch(f"EXPLAIN ({options}FORMAT JSON) {statement.text}", *statement.arguments(values))
    return list(_nodes(json.loads(rows[0][0])[0]["Plan"]))


def _batch() -> dict[str, Any]:
    ids = [f"{number:032x}" for number in range(1, BATCH + 1)]
    many: dict[str, Any] = {
        "attempts": 1, "verbs": "complete", "failures": 0, "crashes": 0, "run_ats": None, "results": b"1",
        "errors": None, "artifacts": None, "progress": None, "failure": None, "checkpoints": None,
    }  # fmt: skip
    endings: dict[str, Any] = {
        "ending_verbs": ["complete"], "ending_targets": ["completed"], "ending_cancelled_targets": ["completed"],
        "ending_is_final": [True], "ending_snoozes": [0], "ending_keeps_error": [False],
    }  # fmt: skip
    return {"ids": ids, **{name: [value] * BATCH for name, value in many.items()}, **endings}


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from _nodes(part)


@pytest.mark.parametrize("name", sorted(name for name in PLANS if not SQL[name].parameters))
async def test_a_plan_that_is_kept_is_right_before_there_is_anything_to_know(name: str) -> None:
    with running.machine_postgres().database() as address:
        store = PostgresStore(address)
        await store.open(migrate=True)
        await store.aclose()
        connection = await asyncpg.connect(address, server_settings=SESSION)
        nodes = await plan_of(connection, name)
        await connection.close()

    assert {node["Index Name"] for node in nodes if "Index Name" in node} == PLANS[name]
    assert not [node for node in nodes if node["Node Type"] == "Sort"]


def test_every_statement_has_its_plan_here() -> None:
    assert set(SQL) == PLANS.keys() | FREE
    assert not PLANS.keys() & FREE


@pytest.mark.parametrize("name", PLANS)
async def test_a_statement_walks_the_index_it_was_written_for(connection: asyncpg.Connection, name: str) -> None:
    nodes = await plan_of(connection, name)

    assert not [node for node in nodes if node["Node Type"] == "Seq Scan" and node["Relation Name"] == "jobs"]
    used = {node["Index Name"] for node in nodes if node.get("Index Name", "").startswith("jobs")}
    assert used, nodes
    assert used <= PLANS[name]


@pytest.mark.parametrize("name", sorted(PLANS.keys() - RUNNING))
async def test_a_statement_reads_no_more_than_it_must(connection: asyncpg.Connection, name: str) -> None:
    transaction = connection.transaction()
    await transaction.start()
    nodes = await plan_of(connection, name, options="ANALYZE, TIMING OFF, ")
    await transaction.rollback()

    read = [
        (read_by(node), node) for node in nodes if node.get("Relation Name") == "jobs" and "Scan" in node["Node Type"]
    ]
    assert read
    assert max(rows for rows, _ in read) <= (WINDOW if name in WINDOWED else BATCH + 1), read
    assert name in FINDS_NONE or max(rows for rows, _ in read) > 0, read


def read_by(node: dict[str, Any]) -> float:
    """Rows that a node of an executed plan has looked at."""
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return float((node["Actual Rows"] + removed) * node["Actual Loops"])
