"""The schema and the server: brought up to date, or refused in plain words."""

from __future__ import annotations

import asyncio
import logging

import asyncpg

from treadle.errors import StoreRefused, Unavailable
from treadle.store.migrate import Migration, pending, read_migrations

logger = logging.getLogger("treadle.store")

OLDEST_SERVER = 15
_LOCK_KEY = 0x74726561646C65  # "treadle": one migration at a time in a database, whoever runs it
_LOCK_SECONDS = 2
"""A migration that waits for a table holds up everybody behind it: better to step back and try again."""
_LOCK_TRIES = 15
_LOCK_PAUSE_SECONDS = 1.0

_VERSION_TABLE = "treadle_schema"
_CREATE_VERSIONS = (
    "CREATE TABLE treadle_schema"
    " (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
)
_OUR_TABLES = ["jobs", "job_types", "queues", "workers", "idempotency_keys"]
# Of the schema in which tables are made. Not to_regclass: it may answer from what it remembers of a moment ago.
_TABLES = (
    "SELECT relname::text FROM pg_class"
    " WHERE relnamespace = current_schema()::regnamespace AND relname = ANY ($1::text[]) ORDER BY relname"
)


async def check_server(connection: asyncpg.Connection, *, accept_loss: bool) -> None:
    """Return if what is committed there stays. Raises ``StoreRefused``, or ``Unavailable`` where it is read-only."""
    said = await connection.fetchrow(
        "SELECT current_setting('server_version_num')::int / 10000 AS major, current_setting('fsync') AS fsync,"
        " current_setting('synchronous_commit') AS synchronous_commit, current_setting('server_encoding') AS encoding,"
        " current_setting('transaction_read_only') AS read_only, current_schema() AS schema"
    )
    assert said is not None  # noqa: S101  (a SELECT without FROM has one row)
    if said["major"] < OLDEST_SERVER:
        raise StoreRefused(f"PostgreSQL {said['major']} is too old: {OLDEST_SERVER} or newer is needed")
    if said["encoding"] != "UTF8":
        raise StoreRefused(f"the database's encoding is {said['encoding']}: create one with ENCODING 'UTF8'")
    if said["schema"] is None:
        raise StoreRefused("the role's search_path names no schema that exists: there is no place for the tables")
    for setting in ("fsync", "synchronous_commit"):
        if said[setting] == "off" and not accept_loss:
            raise StoreRefused(
                f"the database runs with {setting} off, and an acknowledged job may be lost: turn it on, "
                "or set TREADLE_ACCEPT_LOSS=1 if that is meant"
            )
    if said["read_only"] == "on":
        raise Unavailable("the database is read-only: a standby, or default_transaction_read_only is on")


async def bring_up_to_date(connection: asyncpg.Connection, *, migrate: bool) -> None:
    """Apply what is missing, in one transaction under a lock. Raises ``StoreRefused``, ``Unavailable``."""
    migrations = read_migrations("treadle.store.postgres.migrations")
    for tries_left in reversed(range(_LOCK_TRIES)):
        try:
            if pending(migrations, await _version(connection) or 0, migrate=migrate):
                await _migrate(connection, migrations)
            return
        except asyncpg.LockNotAvailableError:
            if not tries_left:
                raise Unavailable("the schema cannot be changed: somebody holds its tables or is changing it") from None
            logger.warning("waiting to change the schema: somebody holds its tables or is changing it")
            await asyncio.sleep(_LOCK_PAUSE_SECONDS)
        except asyncpg.InsufficientPrivilegeError as error:
            raise StoreRefused(f"this role may not set up the database's tables: {error}") from error
        except (asyncpg.DuplicateTableError, asyncpg.DuplicateObjectError) as error:
            raise StoreRefused(f"the database holds another program's objects: {error}") from error


async def _version(connection: asyncpg.Connection) -> int | None:
    """The schema's version; ``None`` where there is none of ours."""
    if not await connection.fetch(_TABLES, [_VERSION_TABLE]):
        return None
    version: int = await connection.fetchval("SELECT coalesce(max(version), 0) FROM treadle_schema")
    return version


async def _migrate(connection: asyncpg.Connection, migrations: list[Migration]) -> None:
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'; SET LOCAL statement_timeout = 0")
        # Of the transaction, not of the session: behind a PgBouncer a session's lock would be somebody else's.
        await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})")
        at = await _version(connection)
        if at is None:
            # Looked at under the lock: before, a neighbour may be half way through these very tables.
            await _refuse_others(connection)
            await connection.execute(_CREATE_VERSIONS)
        for migration in pending(migrations, at or 0, migrate=True):
            await connection.execute(migration.sql)
            await connection.execute("INSERT INTO treadle_schema (version) VALUES ($1)", migration.number)
            logger.info("the database's schema is now version %d", migration.number)


async def _refuse_others(connection: asyncpg.Connection) -> None:
    found = [row["relname"] for row in await connection.fetch(_TABLES, _OUR_TABLES)]
    if found:
        raise StoreRefused(
            f"the database holds another program's tables ({', '.join(found)}): name another database or schema"
        )
