"""Plans: every query walks the index it was written for, on an empty table, on a full one, and after ANALYZE."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

import pytest

from treadle.store.migrate import read_migrations
from treadle.store.sqlite.store import _statements
from treadle.store.sqlite.writing import SQL

BY_ID = "SEARCH jobs USING INDEX sqlite_autoindex_jobs_1 (id=?)"
BY_NUMBER = "SEARCH jobs USING INTEGER PRIMARY KEY (rowid=?)"

# Query: what its plan must say, in part; a table or an index it need not use may not be named after SCAN.
PLANS: dict[str, list[str]] = {
    "claimable": [
        BY_ID,
        "SEARCH queues USING PRIMARY KEY (name=?)",
    ],
    "claim": [BY_NUMBER],
    "settle": [BY_ID],
    "settled": [BY_ID],
    "complete": ["SCAN ended VIRTUAL TABLE", BY_NUMBER],
    "note": [BY_ID],
    "promote": [BY_ID],
    "standing": [BY_ID],
    "cancel": [BY_ID],
    "request_cancel": [BY_ID],
    "requeue": [BY_ID],
    "bury": [BY_ID],
    "delete": [BY_ID],
    "erase": [BY_ID],
    "get": [BY_ID],
    "statuses": [BY_ID],
    "page_all": ["SEARCH jobs USING INDEX sqlite_autoindex_jobs_1 (id<?)"],
    "page_by_status": ["SEARCH jobs USING INDEX jobs_status (status=? AND id<?)"],
    "count": ["SEARCH jobs USING COVERING INDEX jobs_status (status=?)"],
    "expired": ["SEARCH jobs USING INDEX jobs_status (status=? AND id<?)"],
    "ready_queues": ["SEARCH jobs USING INDEX jobs_queued", "SEARCH jobs USING INDEX jobs_queued (queue>?)"],
    "claimable_line": ["SEARCH jobs USING INDEX jobs_queued (queue=? AND priority=?)"],
    "scan_line": ["SEARCH jobs USING INDEX jobs_queued (queue=? AND priority=?)"],
    "depth": ["SEARCH jobs USING INDEX jobs_queued (queue=? AND priority=?)"],
    "due": ["SEARCH jobs USING INDEX jobs_due (run_at<?)"],
    "next_due": ["SEARCH jobs USING INDEX jobs_due"],
    "held": ["SEARCH jobs USING INDEX jobs_processing (worker_id=?)"],
    "held_ids": [BY_ID],
    "orphans": ["SCAN j USING INDEX jobs_processing", "SEARCH w USING PRIMARY KEY (id=?)"],
    "running": ["SCAN jobs USING INDEX jobs_processing"],
    "holds_lease": ["SEARCH workers USING PRIMARY KEY (id=?)"],
    "beat": ["SEARCH workers USING PRIMARY KEY (id=?)"],
    "end_worker": ["SEARCH workers USING PRIMARY KEY (id=?)"],
    "prune_workers": ["SEARCH jobs USING INDEX jobs_processing (worker_id=?)"],
    "find_key": ["SEARCH idempotency_keys USING PRIMARY KEY (scope=? AND key=?)"],
    "prune_keys": [
        "SEARCH idempotency_keys USING PRIMARY KEY (scope=? AND key=?)",
        "SEARCH idempotency_keys USING COVERING INDEX idempotency_keys_expiry (expires_at<?)",
    ],
    "large_payload": ["SEARCH large_payloads USING INDEX sqlite_autoindex_large_payloads_1 (job_id=?)"],
    "erase_large": ["SEARCH large_payloads USING INDEX sqlite_autoindex_large_payloads_1 (job_id=?)"],
    "set_paused": ["SEARCH queues USING PRIMARY KEY (name=?)"],
}
# Plain inserts, and reads of tables that hold a handful of rows.
FREE = {
    "insert",
    "insert_large",
    "put_key",
    "register_worker",
    "declare_queue",
    "put_clock",
    "get_clock",
    "ping",
    "queues",
    "queue_names",
    "workers",
    "publish_type",
    "types",
    "prune_types",
}
MAY_SORT = {"running", "workers"}
"""A sort of what runs now, which is little. Nobody else may sort: a line may be a million jobs long."""
ROWS = 3000

FILL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)
INSERT INTO jobs (id, type, queue, priority, status, max_attempts, max_crashes, timeout_seconds, backoff_base_seconds,
                  backoff_cap_seconds, payload, created_at, updated_at, run_at, queued_at, finished_at, worker_id)
SELECT printf('%036d', i), 'TEST', 'q' || (i % 7), i % 2, status, 3, 3, 900, 2, 600, '{}', i, i,
       CASE WHEN status = 'scheduled' THEN i END, CASE WHEN status = 'queued' THEN i END,
       CASE WHEN status = 'completed' THEN i END, CASE WHEN status = 'processing' THEN 'w' || (i % 5) END
FROM (SELECT i, CASE i % 20 WHEN 0 THEN 'queued' WHEN 1 THEN 'processing' WHEN 2 THEN 'scheduled'
                     ELSE 'completed' END AS status FROM n)
"""


@pytest.fixture(scope="module", params=["empty", "full", "full and analyzed"])
def connection(request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for migration in read_migrations("treadle.store.sqlite.migrations"):
        for statement in _statements(migration.sql):
            connection.execute(statement)
    if request.param != "empty":
        connection.execute(FILL, {"rows": ROWS})
    if request.param == "full and analyzed":
        connection.execute("ANALYZE")
    yield connection
    connection.close()


def plan_of(connection: sqlite3.Connection, query: str) -> list[str]:
    parameters = dict.fromkeys(re.findall(r":([a-z_]+)", query), "[]")
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", parameters)]


def test_every_query_has_its_plan_here() -> None:
    assert set(SQL) == PLANS.keys() | FREE
    assert not PLANS.keys() & FREE


@pytest.mark.parametrize("name", PLANS)
def test_a_query_walks_the_index_it_was_written_for(connection: sqlite3.Connection, name: str) -> None:
    plan = plan_of(connection, SQL[name])

    for part in PLANS[name]:
        assert any(part in step for step in plan), plan
    scans = [step for step in plan if re.match(r"SCAN (jobs|j|idempotency_keys)\b", step)]
    assert all(any(part in step for part in PLANS[name]) for step in scans), plan


@pytest.mark.parametrize("name", [name for name in SQL if name not in MAY_SORT])
def test_no_query_sorts_what_an_index_has_in_order(connection: sqlite3.Connection, name: str) -> None:
    assert not [step for step in plan_of(connection, SQL[name]) if "TEMP B-TREE" in step]
