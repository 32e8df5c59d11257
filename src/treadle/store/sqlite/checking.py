"""The invariants as read-only queries, each a function of one snapshot's connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from treadle.store.queries import read_queries
from treadle.store.sqlite.rows import to_micros

CHECKS = read_queries("treadle.store.sqlite.sql", "checks.sql")


def check(connection: sqlite3.Connection, names: Sequence[str], before: datetime, limit: int) -> dict[str, list[str]]:
    """See ``Store.check``."""
    parameters = {"before": to_micros(before), "limit": limit}
    found = {name: [str(row[0]) for row in connection.execute(CHECKS[name], parameters)] for name in names}
    return {name: subjects for name, subjects in found.items() if subjects}
