"""``treadle move``: everything a SQLite file holds, in PostgreSQL, and the proof that it is the same."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.builders import NOW, a_key, a_new_job, a_submission, an_attempt_error
from tests.conformance.steps import a_worker_in, crash, inserted, one_of_each, read_all, scan, settle, started
from tests.flow.stack import SOURCE
from tests.servers import running
from treadle.errors import StoreRefused, Unavailable
from treadle.ids import JobId
from treadle.service.move import Move, Moved
from treadle.states import Status, Verb
from treadle.store.postgres.store import PostgresStore
from treadle.store.postgres.transfer import PostgresTarget, open_target
from treadle.store.protocol import JobFilter, Store
from treadle.store.sqlite.store import SQLiteStore
from treadle.store.sqlite.transfer import SQLiteSource
from treadle.store.transfer import JobRow

LARGE = b'{"data":"' + b"x" * 200_000 + b'","\xc3\xa9":"\\u00e9 \\\\ \\" \xf0\x9f\x98\x80"}'


def quiet(step: str, done: int, total: int) -> None:
    """Nobody watches."""


@pytest.fixture
def address() -> Iterator[str]:
    with running.machine_postgres().database() as address:
        yield address


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A file with a job at the end of every way, and everything else a store keeps."""
    path = tmp_path / "treadle.db"
    store = SQLiteStore(path)
    await store.open(migrate=True)
    worker_id = await a_worker_in(store)
    await one_of_each(store, worker_id)
    await inserted(store, payload=LARGE, type="T" * 128)
    job = await started(store, worker_id)
    told = an_attempt_error(message='Zoë said "no"\n\\', traceback="a\tb")
    await crash(store, job, failure=told)
    await store.insert([a_submission(a_new_job(), a_new_job(), key=a_key(key="order-7"))], NOW)
    gone = await started(store, worker_id)
    await settle(store, gone.id, 1, Verb.COMPLETE)
    await store.erase([gone.id], NOW)
    await store.declare_queues(["images", "mail"])
    await store.set_paused("mail", NOW)
    await store.aclose()
    return path


@asynccontextmanager
async def opened(path: Path, address: str) -> AsyncIterator[tuple[SQLiteSource, PostgresTarget]]:
    store = PostgresStore(address)
    await store.open(migrate=True)
    await store.aclose()
    source = SQLiteSource(path)
    source.open()
    try:
        async with open_target(address) as target:
            yield source, target
    finally:
        source.close()


async def move(path: Path, address: str) -> Moved:
    async with opened(path, address) as (source, target):
        return await Move(source, target).run(quiet)


async def every_id(store: Store) -> list[JobId]:
    ids: list[JobId] = []
    page = await store.page(JobFilter(), None, 200)
    ids += [job.id for job in page.jobs]
    assert page.next_cursor is None
    return ids


async def test_every_job_is_there_as_it_was_and_goes_on(path: Path, address: str) -> None:
    moved = await move(path, address)

    before, after = SQLiteStore(path), PostgresStore(address)
    await before.open(migrate=False)
    await after.open(migrate=False)
    try:
        ids = await every_id(before)
        assert await read_all(after, ids) == await read_all(before, ids)
        assert await every_id(after) == ids
        assert moved.jobs == moved.new_jobs == len(ids)
        assert await after.counts() == await before.counts()
        assert await after.queues() == await before.queues()
        # What ran when the installation stopped belongs to a worker that is no more: the reaper's, here as there.
        running = [job.id for job in await read_all(before, ids) if job.status is Status.PROCESSING]
        assert sorted(orphan.id for orphan in await after.orphans(100)) == sorted(running) != []
        ready = [job.id for job in await scan(before, await a_worker_in(before), types=("TEST", "T" * 128))]
        assert [job.id for job in await scan(after, await a_worker_in(after), types=("TEST", "T" * 128))] == ready
        assert len(ready) >= 6
        # The key still answers for the job it made.
        [again] = await after.insert([a_submission(a_new_job(), a_new_job(), key=a_key(key="order-7"))], NOW)
        assert set(again.ids) <= set(ids)  # type: ignore[union-attr]
    finally:
        await before.aclose()
        await after.aclose()


async def test_a_second_run_moves_nothing_and_says_the_same(path: Path, address: str) -> None:
    first = await move(path, address)
    second = await move(path, address)

    assert second.new_jobs == 0
    assert (second.jobs, second.checksum) == (first.jobs, first.checksum)


async def test_a_move_that_was_cut_off_is_finished_by_the_next(
    path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treadle.service.move.BATCH", 5)
    written: list[int] = []

    class Cut(PostgresTarget):
        async def write_jobs(self, rows: Sequence[JobRow]) -> None:
            if len(written) == 2:
                raise Unavailable("cut")
            await super().write_jobs(rows)
            written.append(len(rows))

    async with opened(path, address) as (source, target):
        cut = Cut(target._connection)
        with pytest.raises(Unavailable):
            await Move(source, cut).run(quiet)
        assert await target.job_count() == 10

    moved = await move(path, address)
    assert moved.new_jobs == moved.jobs - 10


async def test_a_target_that_differs_is_told_and_not_called_moved(path: Path, address: str) -> None:
    await move(path, address)
    with running.machine_postgres().admin(address.rpartition("/")[2]) as connection:
        connection.execute("UPDATE jobs SET failures = failures + 1 WHERE id = (SELECT id FROM jobs LIMIT 1)")

    with pytest.raises(StoreRefused, match="source and target differ"):
        await move(path, address)


async def test_a_database_with_more_jobs_than_the_file_is_refused_before_anything_is_written(
    path: Path, tmp_path: Path, address: str
) -> None:
    await move(path, address)
    empty = SQLiteStore(tmp_path / "empty.db")
    await empty.open(migrate=True)
    await empty.aclose()

    with pytest.raises(StoreRefused, match="not an empty database"):
        await move(tmp_path / "empty.db", address)


async def test_nobody_else_may_have_the_file_open(path: Path) -> None:
    store = SQLiteStore(path)
    await store.open(migrate=False)
    try:
        with pytest.raises(StoreRefused, match="is in use"):
            SQLiteSource(path).open()
    finally:
        await store.aclose()

    source = SQLiteSource(path)
    source.open()
    try:
        other = SQLiteStore(path)
        with pytest.raises((Unavailable, StoreRefused)):
            await other.open(migrate=False)
    finally:
        source.close()


def test_a_file_that_is_none_or_old_or_not_there_is_refused_and_untouched(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="there is no SQLite file"):
        SQLiteSource(tmp_path / "nothing.db").open()
    text = tmp_path / "text.db"
    text.write_text("not a database, and longer than a header of a hundred bytes " * 10)
    with pytest.raises(StoreRefused, match="no SQLite file of Treadle's"):
        SQLiteSource(text).open()
    old = tmp_path / "old.db"
    sqlite3.connect(old).execute("PRAGMA user_version = 1").connection.close()
    with pytest.raises(StoreRefused, match="run `treadle migrate`"):
        SQLiteSource(old).open()
    assert not (tmp_path / "nothing.db").exists()


def test_the_command_shows_its_progress_and_says_what_to_do_next(path: Path, address: str, tmp_path: Path) -> None:
    done = treadle("move", "--to", address, cwd=tmp_path, DATABASE_URL=f"sqlite:///{path}")

    assert done.returncode == 0, done.stderr
    assert "Moved" in done.stdout
    assert "Set DATABASE_URL" in done.stdout
    assert "compare" in done.stderr


@pytest.mark.parametrize("to", ["sqlite:///other.db", "mysql://x", "postgresql://"])
def test_a_target_that_is_none_is_one_line_and_exit_78(to: str, path: Path, tmp_path: Path) -> None:
    done = treadle("move", "--to", to, cwd=tmp_path, DATABASE_URL=f"sqlite:///{path}")

    assert done.returncode == 78
    assert done.stderr.startswith("treadle: ")
    assert "Traceback" not in done.stderr


def test_a_source_that_is_postgresql_already_is_refused(address: str, tmp_path: Path) -> None:
    done = treadle("move", "--to", address, cwd=tmp_path, DATABASE_URL=address)

    assert (done.returncode, done.stdout) == (78, "")
    assert "only a SQLite file can be moved" in done.stderr


def treadle(*arguments: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd), "PYTHONPATH": SOURCE, **settings}  # noqa: TID251  (a clean one)
    command = [sys.executable, "-m", "treadle", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
    )


async def test_times_keep_their_microseconds_and_ids_their_order(path: Path, address: str) -> None:
    await move(path, address)
    async with opened(path, address) as (source, target):
        here, there = await source.read_jobs(None, 1000), await target.read_jobs(None, 1000)

    assert there == here
    assert [row.id for row in here] == sorted(row.id for row in here)
    assert replace(here[0], created_at=here[0].created_at + timedelta(microseconds=1)) != there[0]
