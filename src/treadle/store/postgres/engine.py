"""What a PostgreSQL says of itself."""

from __future__ import annotations

import statistics

import asyncpg

from treadle.clock import rising_seconds
from treadle.errors import Unavailable
from treadle.store.engine import ROUND_TRIPS, Engine
from treadle.store.postgres.connection import Connections
from treadle.store.postgres.faults import CONNECTION_FAULTS

_SAID = (
    "SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync,"
    " current_setting('synchronous_commit') AS synchronous_commit"
)


async def read_engine(address: str, *, pgbouncer: bool) -> Engine:
    """Asked on a connection of its own. Raises ``StoreRefused``, ``Unavailable``."""
    connection = await Connections(address, pgbouncer=pgbouncer).connect()
    try:
        said = await connection.fetchrow(_SAID)
        assert said is not None  # noqa: S101  (a SELECT without FROM has one row)
        return Engine(
            name=f"PostgreSQL {said['version'].split()[0]}",
            durability={name: said[name] for name in ("fsync", "synchronous_commit")},
            round_trip_ms=statistics.median([await _round_trip_ms(connection) for _ in range(ROUND_TRIPS)]),
        )
    except CONNECTION_FAULTS as error:
        raise Unavailable("the connection to the database was lost") from error
    finally:
        connection.terminate()


async def _round_trip_ms(connection: asyncpg.Connection) -> float:
    begun_at = rising_seconds()
    await connection.execute("SELECT 1")
    return (rising_seconds() - begun_at) * 1000
