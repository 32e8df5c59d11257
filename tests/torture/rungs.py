"""What a rung is to the fault run: settings, faults of its own, and a way to look into its database from beside it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.torture.fleet import LEASE_SECONDS
from tests.torture.stopping import Stop

Strike = Callable[[float, Stop], Awaitable[None]]
"""Does one fault and heals it; ``chance`` (0 to 1) is what the plan left open."""

Query = Callable[[str], Sequence[tuple[Any, ...]]]


@dataclass(frozen=True)
class Rung:
    """One, with everything it needs running."""

    name: str
    settings: Mapping[str, str]
    query: Query
    """Blocking. Raises ``OSError`` where the database does not answer."""
    faults: Mapping[str, Strike] = field(default_factory=dict)
    kinds: Mapping[str, int] = field(default_factory=dict)
    """The faults, and how often each comes in a deck of the plan."""


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Rung]:
    """The database is a file; what can happen to it is that somebody else holds its lock."""
    path = folder / "data" / "treadle.db"

    def query(sql: str) -> Sequence[tuple[Any, ...]]:
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
                return connection.execute(sql).fetchall()
        except sqlite3.OperationalError as error:
            raise OSError(str(error)) from error

    busy = asyncio.Lock()

    async def hold(chance: float, stop: Stop) -> None:
        """Everybody else can read and not write: half a lease to two leases long."""
        async with busy:
            with closing(_for_any_thread(path)) as connection:
                await asyncio.to_thread(connection.execute, "BEGIN IMMEDIATE")
                await stop.within(LEASE_SECONDS * (0.5 + 1.5 * chance))
                connection.execute("ROLLBACK")

    yield Rung("sqlite", {}, query, {"hold database": hold}, {"hold database": 1})


def _for_any_thread(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)


RUNGS: Mapping[str, Callable[[Path], AbstractAsyncContextManager[Rung]]] = {"sqlite": sqlite}
