"""Durability: what a commit rests on is read back at open; an answer that was lost is told apart from a refusal."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.builders import NOW, a_submission
from tests.sqlite.conftest import Beside, NewStore
from treadle.errors import OutcomeUnknown, StoreRefused, Unavailable
from treadle.store.protocol import Inserted
from treadle.store.sqlite.store import SQLiteStore

REAL_CONNECT = sqlite3.connect


class Deaf(sqlite3.Connection):
    """Does not do what it is told, and says nothing: as a build or a file system may."""

    deaf_to = ""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if self.deaf_to and sql.startswith(self.deaf_to):
            return super().execute("SELECT 1")
        return super().execute(sql, parameters)


class BadDisk(sqlite3.Connection):
    """Fails to flush the next commit, before or after it reached the disk."""

    fails = ""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql != "COMMIT" or not self.fails:
            return super().execute(sql, parameters)
        if self.fails == "after":
            super().execute(sql)
        BadDisk.fails = ""
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise error


@pytest.fixture
def connect_as(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[sqlite3.Connection]], None]:
    def connect_as(kind: type[sqlite3.Connection]) -> None:
        monkeypatch.setattr(sqlite3, "connect", lambda *args, **kwargs: REAL_CONNECT(*args, factory=kind, **kwargs))

    return connect_as


async def pragma(store: SQLiteStore, name: str) -> object:
    """What the connection that commits answers."""
    return await store._connections.on_writer(lambda connection: connection.execute(f"PRAGMA {name}").fetchone()[0])


async def test_every_commit_is_flushed(store: SQLiteStore) -> None:
    assert await pragma(store, "journal_mode") == "wal"
    assert await pragma(store, "synchronous") == 2  # FULL
    assert await pragma(store, "fullfsync") == 1
    assert await pragma(store, "checkpoint_fullfsync") == 1
    assert await pragma(store, "foreign_keys") == 1


async def test_a_database_that_others_made_in_another_mode_is_turned_to_wal(
    new_store: NewStore, beside: Beside
) -> None:
    beside().execute("PRAGMA journal_mode = DELETE")
    beside().execute("PRAGMA user_version = 0")
    store = new_store()

    await store.open(migrate=True)

    assert beside().execute("PRAGMA journal_mode").fetchone() == ("wal",)


WEAKER = ["PRAGMA journal_mode", "PRAGMA synchronous"]
if sys.platform == "darwin":
    WEAKER.append("PRAGMA fullfsync")


@pytest.mark.parametrize("deaf_to", WEAKER)
async def test_weaker_settings_are_refused(
    new_store: NewStore,
    connect_as: Callable[[type[sqlite3.Connection]], None],
    monkeypatch: pytest.MonkeyPatch,
    deaf_to: str,
) -> None:
    # Built to flush less than SQLite's own default, as some systems' SQLite is.
    monkeypatch.setattr(Deaf, "deaf_to", f"{deaf_to} = ")
    connect_as(Deaf if "synchronous" not in deaf_to else _weak)

    with pytest.raises(StoreRefused, match=f"{deaf_to} = "):
        await new_store().open(migrate=True)


class _weak(Deaf):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sqlite3.Connection.execute(self, "PRAGMA synchronous = NORMAL")


@pytest.mark.parametrize("fails", ["before", "after"])
async def test_a_commit_whose_flush_failed_has_an_unknown_outcome_and_can_be_sent_again(
    new_store: NewStore,
    connect_as: Callable[[type[sqlite3.Connection]], None],
    monkeypatch: pytest.MonkeyPatch,
    fails: str,
) -> None:
    connect_as(BadDisk)
    store = new_store()
    await store.open(migrate=True)
    unit = a_submission()
    monkeypatch.setattr(BadDisk, "fails", fails)

    with pytest.raises(OutcomeUnknown):
        await store.insert([unit], NOW)

    assert (await store.get([unit.jobs[0].id]) != {}) is (fails == "after")
    assert await store.insert([unit], NOW) == [Inserted((unit.jobs[0].id,))]
    assert sum((await store.counts()).values()) == 1


async def test_an_unknown_outcome_is_no_plain_unavailability() -> None:
    assert issubclass(OutcomeUnknown, Unavailable)
    assert not isinstance(Unavailable(), OutcomeUnknown)
