"""The invariants as read-only queries, on a connection of their own: they read whole tables, and may take minutes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from treadle.errors import Unavailable
from treadle.store.postgres.connection import Connections
from treadle.store.postgres.faults import CONNECTION_FAULTS, is_lost, refusal
from treadle.store.postgres.statement import statement
from treadle.store.queries import read_queries

CHECK_SECONDS = 600.0
"""One query's time; an answer that is later still means that the server, or the way to it, is gone."""
_ANSWER_SLACK_SECONDS = 5.0
# Of the transaction, for who is behind a PgBouncer. All rows are read, so an index would only be the long way round.
_SESSION = f"SET LOCAL statement_timeout = '{CHECK_SECONDS:.0f}s'; SET LOCAL enable_seqscan = on"

CHECKS = {name: statement(name, sql) for name, sql in read_queries("treadle.store.postgres.sql", "checks.sql").items()}


async def check(connections: Connections, names: Sequence[str], before: datetime, limit: int) -> dict[str, list[str]]:
    """See ``Store.check``. Every query sees one moment, and not all of them the same one.

    One snapshot over all would keep vacuum from what dies meanwhile, and a queue lives by its vacuum.
    """
    values = {"before": before, "limit": limit}
    statements = [CHECKS[name] for name in names]
    found: dict[str, list[str]] = {}
    connection = await connections.connect()
    try:
        for wanted in statements:
            async with connection.transaction(readonly=True):
                await connection.execute(_SESSION)
                rows = await connection.fetch(
                    wanted.text, *wanted.arguments(values), timeout=CHECK_SECONDS + _ANSWER_SLACK_SECONDS
                )
            if rows:
                found[wanted.name] = [str(row[0]) for row in rows]
    except CONNECTION_FAULTS as error:
        if is_lost(connection, error):
            raise Unavailable("the connection to the database was lost") from error
        raise refusal(error) from error
    finally:
        connection.terminate()
    return found
