"""What SQLite says of itself, and how long its disk takes to flush."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import statistics
import tempfile
from pathlib import Path

from treadle.clock import rising_seconds
from treadle.errors import StoreRefused
from treadle.store.engine import ROUND_TRIPS, Engine
from treadle.store.sqlite.connection import Connections

_SYNCHRONOUS = ("OFF", "NORMAL", "FULL", "EXTRA")
"""By what PRAGMA synchronous answers (sqlite.org/pragma.html)."""
_PAGE_BYTES = 4096


async def read_engine(path: Path) -> Engine:
    """Asked on connections made as the store makes its own. Raises ``StoreRefused``, ``Unavailable``."""
    connections = Connections(path)
    try:
        await connections.open()
        durability = await connections.on_writer(_durability)
        return Engine(
            name=f"SQLite {sqlite3.sqlite_version}",
            durability=durability,
            flush_ms=await connections.on_writer(lambda _: _flush_ms(path.parent)),
        )
    finally:
        await connections.aclose()


def _durability(connection: sqlite3.Connection) -> dict[str, str]:
    journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
    synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
    return {"journal_mode": journal.upper(), "synchronous": _SYNCHRONOUS[synchronous]}


def _flush_ms(folder: Path) -> float:
    """As the store flushes: on macOS fsync alone leaves the bytes in the drive."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    taken: list[float] = []
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            for _ in range(ROUND_TRIPS):
                begun_at = rising_seconds()
                os.write(file.fileno(), bytes(_PAGE_BYTES))
                os.fsync(file.fileno()) if full is None else fcntl.fcntl(file.fileno(), full)
                taken.append((rising_seconds() - begun_at) * 1000)
    except OSError as error:
        raise StoreRefused(f"cannot write beside the database: {error.strerror}") from error
    return statistics.median(taken)
