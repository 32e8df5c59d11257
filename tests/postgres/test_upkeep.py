"""Upkeep: retention walks on where it stopped, and a young table gets its statistics."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.builders import NOW, a_new_job
from tests.conformance.steps import an_id_at, at, claim, insert, move
from tests.postgres.conftest import Beside, NewStore
from tests.waiting import eventually
from treadle.ids import JobId, WorkerId
from treadle.states import Status, Verb
from treadle.store.postgres import pruning
from treadle.store.postgres.statement import SQL, Statement
from treadle.store.postgres.statistics import FIRST_LOOK_ROWS
from treadle.store.postgres.store import PostgresStore
from treadle.store.protocol import Expiry

COMPLETED = [Expiry(Status.COMPLETED, at(0))]
LONG_AGO = at(-1000)


async def finished(store: PostgresStore, worker_id: WorkerId, verb: Verb, count: int, first: int) -> list[JobId]:
    """Jobs whose ids rise from ``first`` on, ended with ``verb`` long ago."""
    jobs = [a_new_job(id=an_id_at(LONG_AGO, number)) for number in range(first, first + count)]
    ids = await insert(store, *jobs, now=LONG_AGO)
    await claim(store, worker_id, *ids, now=LONG_AGO)
    await store.settle([move(job_id, 1, verb) for job_id in ids], LONG_AGO)
    return ids


async def test_a_walk_over_what_may_not_go_is_made_in_portions_and_begins_again_at_its_end(
    store: PostgresStore, worker_id: WorkerId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "WINDOW_ROWS", 10)
    await finished(store, worker_id, Verb.FAIL, 25, first=0)
    late = await finished(store, worker_id, Verb.COMPLETE, 3, first=25)

    removed = [await store.prune(COMPLETED, 100, NOW) for _ in range(4)]

    assert removed == [{}, {}, {Status.COMPLETED: 3}, {}]
    assert await store.statuses(late) == {}


async def test_a_backlog_goes_in_small_portions_with_rests_as_long_as_they_took(
    store: PostgresStore, worker_id: WorkerId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "PORTION_ROWS", 4)
    hours = iter([100.0, 100.5, 200.0, 202.0, 300.0, 300.0])
    monkeypatch.setattr(pruning, "rising_seconds", lambda: next(hours))
    ids = await finished(store, worker_id, Verb.COMPLETE, 12, first=0)
    rests: list[tuple[float, int]] = []

    async def rest(seconds: float) -> None:
        rests.append((seconds, len(await store.statuses(ids))))

    monkeypatch.setattr(store._pruning, "_rest", rest)

    assert await store.prune(COMPLETED, 10, NOW) == {Status.COMPLETED: 10}
    assert rests == [(0.5 * pruning.RESTS, 8), (2.0 * pruning.RESTS, 4)]


async def test_a_deletion_waits_for_no_flush_and_what_comes_after_it_does(
    store: PostgresStore, worker_id: WorkerId, monkeypatch: pytest.MonkeyPatch
) -> None:
    await finished(store, worker_id, Verb.COMPLETE, 3, first=0)
    write = store._connections.write
    settings: list[str] = []

    async def noted(statement: Statement, values: Any) -> Any:
        rows = await write(statement, values)
        if statement is SQL["prune_completed"]:
            settings.append(rows[0]["synchronous_commit"])
        return rows

    monkeypatch.setattr(store._connections, "write", noted)

    assert await store.prune(COMPLETED, 10, NOW) == {Status.COMPLETED: 3}
    async with store._connections._lane.borrow() as connection:  # the one that was used last
        settings.append(await connection.fetchval("SHOW synchronous_commit"))
    assert settings == ["off", "on"]


async def test_a_look_that_is_too_short_is_followed_by_a_long_one(store: PostgresStore, worker_id: WorkerId) -> None:
    await finished(store, worker_id, Verb.FAIL, pruning.NEAR * 2, first=0)
    ids = await finished(store, worker_id, Verb.COMPLETE, 3, first=20)

    removed = [await store.prune(COMPLETED, 2, NOW) for _ in range(2)]

    assert removed == [{Status.COMPLETED: 2}, {Status.COMPLETED: 1}]
    assert await store.statuses(ids) == {}


async def test_what_finished_late_behind_the_walk_is_found_by_the_next_one(
    store: PostgresStore, worker_id: WorkerId
) -> None:
    early = await finished(store, worker_id, Verb.COMPLETE, 4, first=10)
    assert await store.prune(COMPLETED, 2, NOW) == {Status.COMPLETED: 2}

    behind = await finished(store, worker_id, Verb.COMPLETE, 1, first=1)

    assert await store.prune(COMPLETED, 100, NOW) == {Status.COMPLETED: 2}
    assert await store.prune(COMPLETED, 100, NOW) == {Status.COMPLETED: 1}
    assert await store.statuses([*early, *behind]) == {}


async def test_two_that_prune_at_once_remove_each_job_once(
    store: PostgresStore, new_store: NewStore, worker_id: WorkerId
) -> None:
    other = new_store()
    await other.open(migrate=False)
    ids = await finished(store, worker_id, Verb.COMPLETE, 60, first=0)

    removed = 0
    while await store.statuses(ids):
        gone = await asyncio.gather(*(each.prune(COMPLETED, 7, NOW) for each in (store, other)))
        removed += sum(each.get(Status.COMPLETED, 0) for each in gone)

    assert removed == 60


async def test_a_table_that_grows_from_nothing_is_analyzed_by_who_fills_it(
    store: PostgresStore, beside: Beside
) -> None:
    looking = await beside()
    known = "SELECT reltuples::int FROM pg_class WHERE relname = 'jobs'"
    await insert(store, *(a_new_job() for _ in range(FIRST_LOOK_ROWS - 1)))
    assert await looking.fetchval(known) < 1

    await insert(store, a_new_job())

    await eventually(lambda: looking.fetchval(f"SELECT ({known}) = {FIRST_LOOK_ROWS}"))


async def test_a_table_that_is_known_is_left_alone(store: PostgresStore, beside: Beside) -> None:
    looking = await beside()
    await insert(store, *(a_new_job() for _ in range(FIRST_LOOK_ROWS - 1)))
    await looking.execute("ANALYZE jobs")
    before = await looking.fetchval("SELECT xmin FROM pg_class WHERE relname = 'jobs'")

    await insert(store, *(a_new_job() for _ in range(10)))
    await store.aclose()

    assert await looking.fetchval("SELECT xmin FROM pg_class WHERE relname = 'jobs'") == before
