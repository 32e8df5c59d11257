"""An SQLite store on a file of the test's own, and a look into that file from beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from treadle.store.sqlite.store import SQLiteStore

Beside = Callable[[], sqlite3.Connection]
NewStore = Callable[[], SQLiteStore]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is to be; nothing is there yet."""
    return tmp_path / "data" / "treadle.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    """Open and migrated."""
    store = SQLiteStore(path)
    await store.open(migrate=True)
    yield store
    await store.aclose()


@pytest.fixture
async def new_store(path: Path) -> AsyncIterator[NewStore]:
    """Makes stores on the file, which are not open yet and are closed with the test."""
    made: list[SQLiteStore] = []

    def make() -> SQLiteStore:
        made.append(SQLiteStore(path))
        return made[-1]

    yield make
    for store in made:
        await store.aclose()


@pytest.fixture
def beside(path: Path) -> Iterator[Beside]:
    """Opens plain connections to the file, as any other program would; statements commit themselves."""
    opened: list[sqlite3.Connection] = []

    def connect() -> sqlite3.Connection:
        path.parent.mkdir(exist_ok=True)
        opened.append(sqlite3.connect(path, isolation_level=None, timeout=0))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()
