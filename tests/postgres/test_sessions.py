"""Sessions: what every statement runs under, on a connection of its own and behind a PgBouncer."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from tests.builders import NOW, a_submission
from tests.postgres.conftest import NewStore
from tests.servers import running
from treadle.errors import StoreRefused, Unstorable
from treadle.store.postgres.connection import SESSION
from treadle.store.postgres.statement import statement
from treadle.store.protocol import Inserted

SETTINGS = statement("settings", "SELECT name, current_setting(name) AS value FROM unnest(:names::text[]) AS name")


@pytest.mark.parametrize("pgbouncer", [False, True])
async def test_every_statement_runs_under_all_settings(address: str, new_store: NewStore, pgbouncer: bool) -> None:
    at = running.pgbouncer().in_front_of(address) if pgbouncer else address
    store = new_store(at, pgbouncer=pgbouncer)
    await store.open(migrate=True)
    wanted = {name: value for name, value in SESSION.items() if not name.startswith("default_")}
    wanted["transaction_isolation"] = "read committed"

    for _ in range(3):
        rows = await store._connections.read(SETTINGS, {"names": list(wanted)})
        assert {row["name"]: row["value"] for row in rows} == wanted


async def test_whatever_isolation_the_database_has_by_default_statements_see_what_was_committed(
    address: str, new_store: NewStore
) -> None:
    name = address.rpartition("/")[2]
    with running.machine_postgres().admin() as admin:
        admin.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'".encode())
    store = new_store()
    await store.open(migrate=True)

    [row] = await store._connections.read(SETTINGS, {"names": ["transaction_isolation"]})

    assert row["value"] == "read committed"


async def test_a_pgbouncer_that_nobody_named_is_told_from_a_server(address: str, new_store: NewStore) -> None:
    with pytest.raises(StoreRefused, match="TREADLE_PGBOUNCER=1"):
        await new_store(running.pgbouncer().in_front_of(address)).open(migrate=True)


async def test_behind_a_pgbouncer_nothing_is_left_in_its_sessions(address: str, new_store: NewStore) -> None:
    """Refused batches too: their transactions end, and their connections serve the next ones."""
    behind = running.pgbouncer().in_front_of(address)
    store = new_store(behind, pgbouncer=True)
    await store.open(migrate=True)
    for _ in range(5):
        unit = a_submission()
        refused, taken = await asyncio.gather(
            store.insert([a_submission(payload=b"{")], NOW), store.insert([unit], NOW), return_exceptions=True
        )
        assert isinstance(refused, Unstorable)
        assert taken == [Inserted((unit.jobs[0].id,))]

    connection = await asyncpg.connect(behind, statement_cache_size=0)
    left = await connection.fetch("SELECT name, setting FROM pg_settings WHERE name IN ('lock_timeout', 'enable_sort')")
    in_transaction = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
    )
    await connection.close()

    assert {row["name"]: row["setting"] for row in left} == {"lock_timeout": "0", "enable_sort": "on"}
    assert in_transaction == 0
