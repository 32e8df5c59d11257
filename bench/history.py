"""Finished jobs, made at once: what a store looks like after months."""

from __future__ import annotations

from pathlib import Path

import psycopg

from bench.servers import Ground

_INSERT = Path(__file__).with_name("history.sql").read_text(encoding="utf-8")


def fill(ground: Ground, rows: int) -> None:
    """So many, in the last days but one, as autovacuum would leave them. The tables must be there."""
    with psycopg.connect(ground.database_url, autocommit=True) as connection:
        psycopg.ClientCursor(connection).execute(_INSERT, {"rows": rows})
        connection.execute("VACUUM (ANALYZE) jobs")
    ground.settle()
