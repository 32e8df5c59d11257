"""The schema: made once however many start at once, never touched where it is newer or somebody else's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from tests.postgres.conftest import Beside, NewStore
from tests.servers import running
from tests.servers.postgres import Postgres
from tests.waiting import eventually
from treadle.errors import StoreRefused, Unavailable
from treadle.store.migrate import Migration, read_migrations
from treadle.store.postgres import schema

NEWEST = len(read_migrations("treadle.store.postgres.migrations"))


async def tables(connection: asyncpg.Connection) -> set[str]:
    rows = await connection.fetch("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
    return {row["relname"] for row in rows}


async def test_stores_that_open_at_once_on_an_empty_database_all_succeed(new_store: NewStore, beside: Beside) -> None:
    stores = [new_store() for _ in range(8)]

    await asyncio.gather(*(store.open(migrate=True) for store in stores))

    versions = await (await beside()).fetch("SELECT version, applied_at FROM treadle_schema")
    assert [row["version"] for row in versions] == list(range(1, NEWEST + 1))
    for store in stores:
        await store.ping()


async def test_opening_again_changes_nothing(new_store: NewStore, beside: Beside) -> None:
    await new_store().open(migrate=True)
    before = await (await beside()).fetch("SELECT * FROM treadle_schema")

    await new_store().open(migrate=True)
    await new_store().open(migrate=False)

    assert await (await beside()).fetch("SELECT * FROM treadle_schema") == before


async def test_a_newer_schema_is_refused(new_store: NewStore, beside: Beside) -> None:
    await new_store().open(migrate=True)
    await (await beside()).execute(f"INSERT INTO treadle_schema (version) VALUES ({NEWEST + 1})")

    with pytest.raises(StoreRefused, match="install a newer Treadle"):
        await new_store().open(migrate=True)


async def test_an_empty_database_is_refused_where_migrations_are_off(new_store: NewStore, beside: Beside) -> None:
    with pytest.raises(StoreRefused, match="treadle migrate"):
        await new_store().open(migrate=False)

    assert await tables(await beside()) == set()


@pytest.mark.parametrize(
    "theirs",
    [
        "CREATE TABLE jobs (id int)",
        "CREATE TABLE queues (id int)",
        "CREATE VIEW workers AS SELECT 1 AS one",
        "CREATE SEQUENCE idempotency_keys",
        "CREATE TABLE jobs_queued (id int)",  # the name of an index of ours
        "CREATE TYPE jobs AS ENUM ('a')",
    ],
)
async def test_a_database_with_another_programs_tables_is_refused_and_left_alone(
    new_store: NewStore, beside: Beside, theirs: str
) -> None:
    connection = await beside()
    await connection.execute(theirs)
    before = await tables(connection)

    with pytest.raises(StoreRefused, match="another program's"):
        await new_store().open(migrate=True)

    assert await tables(connection) == before


async def test_tables_of_other_names_are_nobodys_business(new_store: NewStore, beside: Beside) -> None:
    await (await beside()).execute("CREATE TABLE customers (id int)")

    await new_store().open(migrate=True)


async def test_a_schema_of_its_own_in_a_database_that_is_shared(
    new_store: NewStore, beside: Beside, address: str
) -> None:
    connection = await beside()
    await connection.execute("CREATE TABLE jobs (id int)")
    await connection.execute("CREATE SCHEMA treadle")  # "$user" of the search path

    await new_store().open(migrate=True)

    assert await connection.fetchval("SELECT count(*) FROM treadle.jobs") == 0
    assert await tables(connection) == {"jobs"}


async def test_a_role_that_may_not_make_tables_is_told_so(
    server: Postgres, new_store: NewStore, address: str, beside: Beside
) -> None:
    await (await beside()).execute("REVOKE CREATE ON SCHEMA public FROM pg_database_owner")

    with pytest.raises(StoreRefused, match="may not set up"):
        await new_store().open(migrate=True)


async def test_a_migration_waits_for_another_and_then_finds_it_done(
    new_store: NewStore, beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_LOCK_PAUSE_SECONDS", 0.01)
    migrating = await beside()
    transaction = migrating.transaction()
    await transaction.start()
    await migrating.execute(f"SELECT pg_advisory_xact_lock({schema._LOCK_KEY})")

    opening = asyncio.create_task(new_store().open(migrate=True))
    looking = await beside()
    await eventually(
        lambda: looking.fetchval("SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    )
    await transaction.rollback()

    await opening
    assert "jobs" in await tables(looking)


async def test_a_lock_that_is_never_let_go_ends_the_wait(
    new_store: NewStore, beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_LOCK_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(schema, "_LOCK_TRIES", 2)
    migrating = await beside()
    transaction = migrating.transaction()
    await transaction.start()
    await migrating.execute(f"SELECT pg_advisory_xact_lock({schema._LOCK_KEY})")

    with pytest.raises(Unavailable, match="somebody holds"):
        await new_store().open(migrate=True)

    assert await tables(await beside()) == set()


async def test_a_migration_that_fails_leaves_nothing_behind(
    new_store: NewStore, beside: Beside, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = [*read_migrations("treadle.store.postgres.migrations"), Migration(2, "0002_no.sql", "SELECT 1 / 0")]
    monkeypatch.setattr(schema, "read_migrations", lambda _: broken)

    with pytest.raises(Exception, match="refused"):
        await new_store().open(migrate=True)

    assert await tables(await beside()) == set()


async def test_the_schema_is_the_same_on_the_newest_server(beside: Beside, new_store: NewStore) -> None:
    await new_store().open(migrate=True)
    columns = "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'"
    here = set(map(tuple, await (await beside()).fetch(columns)))
    with running.wheel_postgres().database() as newest:
        await new_store(newest).open(migrate=True)
        connection = await asyncpg.connect(newest)
        there = set(map(tuple, await connection.fetch(columns)))
        await connection.close()

    assert here == there
