"""Turns: what waits together is flushed once, and no unit of a turn loses or confirms another one's work."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.builders import NOW, a_new_job, a_submission
from tests.conformance.steps import a_worker_in, move, scan
from tests.sqlite.conftest import Beside, NewStore
from tests.sqlite.test_durability import REAL_CONNECT, BadDisk
from tests.waiting import eventually
from treadle.errors import OutcomeUnknown, Unavailable, Unstorable
from treadle.states import Status, Verb
from treadle.store.protocol import Inserted, Submission
from treadle.store.sqlite import connection as connection_module
from treadle.store.sqlite.store import SQLiteStore
from treadle.store.sqlite.turns import MAX_ROWS


@asynccontextmanager
async def held_writer(store: SQLiteStore) -> AsyncIterator[None]:
    """Keeps the writer's thread busy, so that all which is asked of it meanwhile waits together."""
    is_held, is_let_go = threading.Event(), threading.Event()

    def hold(_: sqlite3.Connection) -> None:
        is_held.set()
        is_let_go.wait(10)

    holding = asyncio.create_task(store._connections.on_writer(hold))
    await eventually(is_held.is_set)
    try:
        yield
    finally:
        is_let_go.set()
        await holding


async def together(store: SQLiteStore, *calls: Coroutine[Any, Any, Any]) -> list[Any]:
    """All ``calls`` in one turn; their answers and errors."""
    async with held_writer(store):
        tasks = [asyncio.create_task(call) for call in calls]
        await eventually(lambda: len(store._connections._turns._waiting) == len(tasks))
    return await asyncio.gather(*tasks, return_exceptions=True)


async def commits(store: SQLiteStore) -> list[str]:
    """A list of the writer's commits from now on."""
    seen: list[str] = []

    def note(statement: str) -> None:
        if statement == "COMMIT":
            seen.append(statement)

    await store._connections.on_writer(lambda connection: connection.set_trace_callback(note))
    return seen


def a_refused_submission() -> Submission:
    """Two jobs, of which the database refuses the second one."""
    return a_submission(a_new_job(), a_new_job(payload=b"no JSON"))


async def is_there(store: SQLiteStore, unit: Submission) -> bool:
    found = await store.get([job.id for job in unit.jobs])
    assert len(found) in (0, len(unit.jobs))
    return bool(found)


async def test_a_claim_an_end_and_a_submission_that_wait_together_share_a_commit(store: SQLiteStore) -> None:
    worker_id = await a_worker_in(store)
    await store.insert([a_submission(a_new_job(), a_new_job())], NOW)
    [job] = await scan(store, worker_id, 1)
    unit = a_submission()
    seen = await commits(store)

    inserted, ended, claimed = await together(
        store,
        store.insert([unit], NOW),
        store.settle([move(job.id, 1, Verb.COMPLETE)], NOW),
        scan(store, worker_id, 1),
    )

    assert inserted == [Inserted((unit.jobs[0].id,))]
    assert ended[0].status is Status.COMPLETED
    assert len(claimed) == 1
    assert len(seen) == 1


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_unit_that_is_refused_takes_nothing_from_the_others(store: SQLiteStore, place: int) -> None:
    units = [a_submission(), a_submission()]
    units.insert(place, a_refused_submission())

    answers = await together(store, *(store.insert([unit], NOW) for unit in units))

    for at, (unit, answer) in enumerate(zip(units, answers, strict=True)):
        if at == place:
            assert isinstance(answer, Unstorable)
        else:
            assert answer == [Inserted((unit.jobs[0].id,))]
        assert await is_there(store, unit) is (at != place)


async def test_what_a_lost_transaction_undid_is_done_again(store: SQLiteStore) -> None:
    # As SQLite itself does it where a disk is full, or a page cannot be read.
    def lose(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("disk I/O error")

    units = [a_submission(), a_submission()]

    first, lost, last = await together(
        store, store.insert([units[0]], NOW), store._connections.write(lose), store.insert([units[1]], NOW)
    )

    assert isinstance(lost, Unavailable)
    assert [first, last] == [[Inserted((unit.jobs[0].id,))] for unit in units]
    assert [await is_there(store, unit) for unit in units] == [True, True]


async def test_a_bug_in_one_unit_is_its_own_callers(store: SQLiteStore) -> None:
    def break_down(_: sqlite3.Connection) -> None:
        raise KeyError("bug")

    unit = a_submission()

    broken, inserted = await together(store, store._connections.write(break_down), store.insert([unit], NOW))

    assert isinstance(broken, KeyError)
    assert inserted == [Inserted((unit.jobs[0].id,))]
    assert await is_there(store, unit)


async def test_on_a_full_disk_what_fits_is_not_lost_to_what_does_not(store: SQLiteStore, beside: Beside) -> None:
    worker_id = await a_worker_in(store)
    await store.insert([a_submission()], NOW)
    [job] = await scan(store, worker_id)

    def fill(connection: sqlite3.Connection) -> None:
        [count] = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {count + 2}")

    await store._connections.on_writer(fill)
    large = a_submission(*(a_new_job(payload=b'{"text":"%s"}' % (b"x" * 5_000)) for _ in range(20)))

    ended, refused = await together(
        store, store.settle([move(job.id, 1, Verb.COMPLETE)], NOW), store.insert([large], NOW)
    )

    assert ended[0].status is Status.COMPLETED
    assert isinstance(refused, Unavailable)
    assert not isinstance(refused, OutcomeUnknown)
    assert not await is_there(store, large)
    assert (await store.get([job.id]))[job.id].status is Status.COMPLETED
    assert beside().execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("fails", ["before", "after"])
async def test_nobody_is_told_of_success_where_the_flush_failed(
    new_store: NewStore, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **kwargs: REAL_CONNECT(*args, factory=BadDisk, **kwargs))
    store = new_store()
    await store.open(migrate=True)
    units = [a_submission(), a_submission()]
    await store.declare_queues(["default"])
    monkeypatch.setattr(BadDisk, "fails", fails)

    answers = await together(store, *(store.insert([unit], NOW) for unit in units))

    assert [type(answer) for answer in answers] == [OutcomeUnknown, OutcomeUnknown]
    for unit in units:
        assert await is_there(store, unit) is (fails == "after")
        assert await store.insert([unit], NOW) == [Inserted((unit.jobs[0].id,))]


async def test_a_lock_is_waited_for_once_a_turn(
    store: SQLiteStore, beside: Beside, monkeypatch: pytest.MonkeyPatch, new_store: NewStore
) -> None:
    monkeypatch.setattr(connection_module, "BUSY_SECONDS", 0.3)
    impatient = new_store()
    await impatient.open(migrate=True)
    other = beside()
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()

    answers = await together(impatient, *(impatient.insert([a_submission()], NOW) for _ in range(5)))

    assert [type(answer) for answer in answers] == [Unavailable] * 5
    assert 0.3 <= time.monotonic() - began < 1.0
    other.execute("ROLLBACK")


async def test_what_is_large_is_no_part_of_a_turn_with_what_came_before_it(store: SQLiteStore) -> None:
    small, large = a_submission(), a_submission(*(a_new_job() for _ in range(MAX_ROWS)))
    seen = await commits(store)

    await together(store, store.insert([small], NOW), store.insert([large], NOW), store.insert([a_submission()], NOW))

    assert len(seen) == 3


async def test_a_caller_that_goes_away_before_the_turn_is_left_out(store: SQLiteStore) -> None:
    gone, stays = a_submission(), a_submission()
    async with held_writer(store):
        tasks = [asyncio.create_task(store.insert([unit], NOW)) for unit in (gone, stays)]
        await eventually(lambda: len(store._connections._turns._waiting) == 2)
        tasks[0].cancel()
        await asyncio.wait((tasks[0],))

    assert await tasks[1] == [Inserted((stays.jobs[0].id,))]
    assert not await is_there(store, gone)


async def test_closing_does_what_waits(store: SQLiteStore, new_store: NewStore) -> None:
    units = [a_submission() for _ in range(3)]
    async with held_writer(store):
        tasks = [asyncio.create_task(store.insert([unit], NOW)) for unit in units]
        await eventually(lambda: len(store._connections._turns._waiting) == 3)
        closing = asyncio.create_task(store.aclose())
        await eventually(lambda: store._connections._writer._shutdown)

    assert [await task for task in tasks] == [[Inserted((unit.jobs[0].id,))] for unit in units]
    await closing
    with pytest.raises(Unavailable, match="closed"):
        await store.insert([a_submission()], NOW)
    again = new_store()
    await again.open(migrate=True)
    assert [await is_there(again, unit) for unit in units] == [True, True, True]
