"""Backup: a whole, checked copy of one moment under load, and no file where there cannot be one."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.builders import NOW, a_new_job, a_submission
from treadle.errors import StoreRefused, Unavailable
from treadle.store.sqlite import backup
from treadle.store.sqlite.backup import back_up
from treadle.store.sqlite.store import SQLiteStore

LARGE = b'{"text":"' + b"x" * 100_000 + b'"}'


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "treadle.db")
    await store.open(migrate=True)
    yield store
    await store.aclose()


def quiet(done: int, total: int) -> None:
    return None


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("treadle.db"))


async def test_a_copy_under_load_holds_what_was_committed_when_it_began(
    store: SQLiteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "PAGES_PER_STEP", 50)
    before = [a_new_job(payload=LARGE) for _ in range(40)]
    await store.insert([a_submission(*before)], NOW)
    loop = asyncio.get_running_loop()
    steps: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        steps.append((done, total))
        assert len(steps) < 200, "begun anew for every commit"
        later = store.insert([a_submission(a_new_job())], NOW)
        asyncio.run_coroutine_threadsafe(later, loop).result(10)

    size = await asyncio.to_thread(back_up, tmp_path / "treadle.db", tmp_path / "copy.db", progress)

    assert (tmp_path / "copy.db").stat().st_size == size
    assert left_in(tmp_path) == ["copy.db"]
    assert len(steps) > 10, "in steps, a commit after each"
    assert steps == sorted(steps), "and never from the beginning again"
    assert steps[-1][0] == steps[-1][1]
    copy = SQLiteStore(tmp_path / "copy.db")
    await copy.open(migrate=False)
    assert set(await copy.get([job.id for job in before], payload=True)) == {job.id for job in before}
    assert sum((await copy.counts()).values()) == 40
    await copy.aclose()


async def test_nothing_is_overwritten(store: SQLiteStore, tmp_path: Path) -> None:
    (tmp_path / "mine.db").write_text("mine")
    (tmp_path / "dangling.db").symlink_to(tmp_path / "nothing")
    for name in ("mine.db", "dangling.db"):
        with pytest.raises(StoreRefused, match="exists already"):
            back_up(tmp_path / "treadle.db", tmp_path / name, quiet)
    with pytest.raises(StoreRefused, match="exists already"):
        back_up(tmp_path / "treadle.db", tmp_path / "treadle.db", quiet)

    def appear(done: int, total: int) -> None:
        (tmp_path / "late.db").write_text("mine too")

    with pytest.raises(StoreRefused, match="cannot write"):
        back_up(tmp_path / "treadle.db", tmp_path / "late.db", appear)
    assert (tmp_path / "mine.db").read_text() == "mine"
    assert (tmp_path / "late.db").read_text() == "mine too"
    assert left_in(tmp_path) == ["dangling.db", "late.db", "mine.db"]


async def test_a_folder_that_cannot_be_written_is_named(store: SQLiteStore, tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="No such file"):
        back_up(tmp_path / "treadle.db", tmp_path / "no" / "copy.db", quiet)


async def test_a_damaged_database_makes_no_copy(store: SQLiteStore, tmp_path: Path) -> None:
    await store.insert([a_submission(*(a_new_job(payload=LARGE) for _ in range(20)))], NOW)
    await store.aclose()
    content = bytearray((tmp_path / "treadle.db").read_bytes())
    content[100 + 4096 : 100 + 40 * 4096] = b"\xa5" * (39 * 4096)
    (tmp_path / "treadle.db").write_bytes(content)

    with pytest.raises((StoreRefused, Unavailable)):
        back_up(tmp_path / "treadle.db", tmp_path / "copy.db", quiet)
    assert left_in(tmp_path) == []


def test_what_is_no_database_makes_no_copy(tmp_path: Path) -> None:
    (tmp_path / "treadle.db").write_bytes(b"dear to somebody" * 1000)
    with pytest.raises(StoreRefused, match="not a database"):
        back_up(tmp_path / "treadle.db", tmp_path / "copy.db", quiet)
    assert left_in(tmp_path) == []


def test_a_locked_database_is_unavailable(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "treadle.db") as writer:
        writer.execute("CREATE TABLE t (x)")
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unavailable, match="locked"):
            back_up(tmp_path / "treadle.db", tmp_path / "copy.db", quiet)
    writer.close()
    assert left_in(tmp_path) == []
