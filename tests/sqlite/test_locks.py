"""Locks: another program that holds the file delays us by the busy time and no longer."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.builders import NOW, a_submission
from tests.conformance.steps import a_worker_in, scan
from tests.sqlite.conftest import Beside, NewStore
from tests.waiting import eventually
from treadle.errors import Unavailable
from treadle.store.protocol import Inserted
from treadle.store.sqlite import connection as connection_module
from treadle.store.sqlite.store import SQLiteStore

SHORT_SECONDS = 0.2


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "BUSY_SECONDS", SHORT_SECONDS)


async def test_a_write_that_is_locked_out_is_unavailable_after_the_busy_time_and_did_nothing(
    store: SQLiteStore, beside: Beside
) -> None:
    unit = a_submission()
    other = beside()
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()

    with pytest.raises(Unavailable):
        await store.insert([unit], NOW)

    assert time.monotonic() - began >= SHORT_SECONDS
    other.execute("ROLLBACK")
    assert await store.get([unit.jobs[0].id]) == {}
    assert await store.insert([unit], NOW) == [Inserted((unit.jobs[0].id,))]


async def test_a_ping_says_when_nothing_can_be_written(store: SQLiteStore, beside: Beside) -> None:
    other = beside()
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(Unavailable):
        await store.ping()

    other.execute("COMMIT")
    await store.ping()


async def test_reads_go_on_while_another_program_writes(store: SQLiteStore, beside: Beside) -> None:
    await store.insert([a_submission()], NOW)
    other = beside()
    other.execute("BEGIN IMMEDIATE")
    other.execute("DELETE FROM jobs")

    assert sum((await store.counts()).values()) == 1

    other.execute("ROLLBACK")


async def test_a_write_waits_for_a_short_lock(store: SQLiteStore, beside: Beside) -> None:
    other = beside()
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(store.insert([a_submission()], NOW))
    await eventually(lambda: not writing.done())

    other.execute("COMMIT")

    assert isinstance((await writing)[0], Inserted)


async def test_a_claim_that_finds_nothing_takes_no_lock(store: SQLiteStore, beside: Beside) -> None:
    worker_id = await a_worker_in(store)
    other = beside()
    other.execute("BEGIN IMMEDIATE")

    assert await scan(store, worker_id) == []
    assert (await store.promote_due(10, NOW)).hints == ()

    other.execute("ROLLBACK")


async def test_opening_waits_while_another_process_makes_the_file(new_store: NewStore, beside: Beside) -> None:
    # A new file is not in WAL mode yet, and here SQLite answers "locked" at once, whatever the busy time.
    other = beside()
    other.execute("BEGIN IMMEDIATE")
    store = new_store()
    opening = asyncio.create_task(store.open(migrate=True))
    await eventually(lambda: len(store._connections._opened) >= 2 or opening.done())

    other.execute("COMMIT")

    await opening
    assert await store.queues() == []


async def test_a_file_that_stays_locked_is_unavailable_and_not_refused(new_store: NewStore, beside: Beside) -> None:
    other = beside()
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(Unavailable, match="locked"):
        await new_store().open(migrate=True)
