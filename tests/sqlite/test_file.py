"""The file: who may read it, and which files are refused and left as they are."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builders import NOW, a_submission
from tests.sqlite.conftest import Beside, NewStore
from treadle.errors import StoreRefused
from treadle.store.migrate import read_migrations
from treadle.store.sqlite.store import SQLiteStore

NEWEST = len(read_migrations("treadle.store.sqlite.migrations"))


@pytest.fixture
def open_umask() -> Iterator[None]:
    """What a careless machine is set to: everybody may read and write everything."""
    before = os.umask(0)
    yield
    os.umask(before)


def put(path: Path, data: bytes | None) -> None:
    """A file with ``data``; ``None``: a folder."""
    if data is None:
        path.mkdir()
    else:
        path.write_bytes(data)


def contents(path: Path) -> bytes:
    return path.read_bytes()


def mode_of(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


@pytest.mark.usefixtures("open_umask")
async def test_only_the_owner_reads_the_database_and_its_folder(path: Path, new_store: NewStore) -> None:
    store = new_store()

    await store.open(migrate=True)
    await store.insert([a_submission()], NOW)

    assert mode_of(path.parent) == "0o700"
    assert {file.name: mode_of(file) for file in path.parent.iterdir()} == {
        "treadle.db": "0o600",
        "treadle.db-wal": "0o600",
        "treadle.db-shm": "0o600",
    }


async def test_folders_above_are_made_too(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "a" / "b" / "treadle.db")

    await store.open(migrate=True)
    await store.aclose()

    assert (tmp_path / "a" / "b" / "treadle.db").exists()


async def test_a_folder_that_was_there_keeps_its_mode(path: Path, new_store: NewStore) -> None:
    path.parent.mkdir(mode=0o750)

    await new_store().open(migrate=True)

    assert mode_of(path.parent) == "0o750"


async def test_jobs_are_there_again_after_closing_and_opening(path: Path, new_store: NewStore) -> None:
    unit = a_submission()
    first = new_store()
    await first.open(migrate=True)
    await first.insert([unit], NOW)
    await first.aclose()

    again = new_store()
    await again.open(migrate=True)

    assert list(await again.get([unit.jobs[0].id])) == [unit.jobs[0].id]


async def test_a_closed_store_leaves_one_file(path: Path, new_store: NewStore) -> None:
    store = new_store()
    await store.open(migrate=True)
    await store.insert([a_submission()], NOW)

    await store.aclose()

    assert [file.name for file in path.parent.iterdir()] == ["treadle.db"]


# -------------------------------------------------------------------------------------------- refused


def another_programs_database(path: Path) -> bytes:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE jobs (title TEXT)")
    connection.execute("INSERT INTO jobs VALUES ('carpenter')")
    connection.commit()
    connection.close()
    return path.read_bytes()


def a_damaged_database(path: Path) -> bytes:
    intact = another_programs_database(path)
    return intact[:100] + b"\xee" * (len(intact) - 100)


NO_DATABASES: dict[str, Callable[[Path], bytes]] = {
    "a text": lambda path: b"name,price\nscrew,0.10\n" * 500,
    "a short text": lambda path: b"hello\n",
    "zeros": lambda path: bytes(8192),
    "a damaged database": a_damaged_database,
    "half a page": lambda path: another_programs_database(path)[:2048],
}


@pytest.mark.parametrize("content", NO_DATABASES.values(), ids=NO_DATABASES)
async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(
    path: Path, new_store: NewStore, content: Callable[[Path], bytes]
) -> None:
    path.parent.mkdir()
    put(path, data := content(path))

    with pytest.raises(StoreRefused):
        await new_store().open(migrate=True)

    assert contents(path) == data


async def test_another_programs_database_is_refused_and_its_rows_stay(
    path: Path, new_store: NewStore, beside: Beside
) -> None:
    path.parent.mkdir()
    another_programs_database(path)

    with pytest.raises(StoreRefused, match="jobs"):
        await new_store().open(migrate=True)

    tables = beside().execute("SELECT name FROM sqlite_master").fetchall()
    assert (tables, beside().execute("SELECT * FROM jobs").fetchall()) == ([("jobs",)], [("carpenter",)])


async def test_a_program_with_other_names_and_a_version_of_its_own_is_left_alone_too(
    path: Path, new_store: NewStore, beside: Beside
) -> None:
    connection = beside()
    connection.execute("CREATE TABLE recipes (title TEXT)")
    connection.execute("PRAGMA user_version = 1")

    with pytest.raises(StoreRefused, match="recipes"):
        await new_store().open(migrate=True)

    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]


async def test_a_store_that_refuses_keeps_no_thread_and_no_file(
    path: Path, new_store: NewStore, beside: Beside
) -> None:
    beside().execute("CREATE TABLE recipes (title TEXT)")
    before = set(threading.enumerate())

    with pytest.raises(StoreRefused):
        await new_store().open(migrate=True)

    assert not [thread.name for thread in set(threading.enumerate()) - before if "sqlite" in thread.name]


async def test_a_folder_in_the_files_place_is_refused(path: Path, new_store: NewStore) -> None:
    path.parent.mkdir()
    put(path, None)

    with pytest.raises(StoreRefused, match=r"treadle\.db"):
        await new_store().open(migrate=True)


async def test_a_file_in_the_folders_place_is_refused(path: Path, new_store: NewStore) -> None:
    put(path.parent, b"not a folder")

    with pytest.raises(StoreRefused, match=r"treadle\.db"):
        await new_store().open(migrate=True)


# --------------------------------------------------------------------------------------------- schema


async def test_a_new_database_is_brought_to_the_newest_schema(store: SQLiteStore, beside: Beside) -> None:
    assert beside().execute("PRAGMA user_version").fetchone() == (NEWEST,)


@pytest.mark.parametrize("migrate", [True, False])
async def test_a_newer_schema_is_refused_and_left_as_it_is(
    path: Path, new_store: NewStore, beside: Beside, migrate: bool
) -> None:
    first = new_store()
    await first.open(migrate=True)
    await first.aclose()
    beside().execute(f"PRAGMA user_version = {NEWEST + 1}")

    with pytest.raises(StoreRefused, match="newer Treadle"):
        await new_store().open(migrate=migrate)

    assert beside().execute("PRAGMA user_version").fetchone() == (NEWEST + 1,)


async def test_without_leave_to_migrate_an_old_schema_is_refused_and_left_as_it_is(
    new_store: NewStore, beside: Beside
) -> None:
    with pytest.raises(StoreRefused, match="treadle migrate"):
        await new_store().open(migrate=False)

    assert beside().execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


async def test_without_leave_to_migrate_the_newest_schema_opens(new_store: NewStore) -> None:
    first = new_store()
    await first.open(migrate=True)
    await first.aclose()

    again = new_store()
    await again.open(migrate=False)

    assert await again.queues() == []


async def test_a_migration_that_fails_leaves_nothing_behind(path: Path, new_store: NewStore, beside: Beside) -> None:
    # The third table of the first migration is there already, so the migration fails half way.
    beside().execute("CREATE TABLE workers (name TEXT)")

    with pytest.raises(StoreRefused, match="workers"):
        await new_store().open(migrate=True)

    assert beside().execute("SELECT name FROM sqlite_master").fetchall() == [("workers",)]
    assert beside().execute("PRAGMA user_version").fetchone() == (0,)


async def test_an_sqlite_that_is_too_old_is_refused(new_store: NewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 2))

    with pytest.raises(StoreRefused, match=r"3\.38"):
        await new_store().open(migrate=True)
