"""Counts and depths: exact while that is cheap; where it was dear, from marks, and of what runs as workers said it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.steps import at, inserted, settle, started
from tests.postgres.conftest import Beside
from tests.postgres.left import a_line_left
from treadle.errors import Unavailable
from treadle.ids import WorkerId
from treadle.queue import Priority
from treadle.states import Status, Verb
from treadle.store.postgres import depths
from treadle.store.postgres.connection import SESSION
from treadle.store.postgres.marks import LONGEST_SECONDS, SLACK
from treadle.store.postgres.statement import SQL, Statement
from treadle.store.postgres.store import PostgresStore

LINE = ("default", Priority.DEFAULT)


class Hours:
    """Rising seconds as the counting sees them; a look at everything takes ``took``."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.took = 0.0


@pytest.fixture
def hours(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> Hours:
    hours = Hours()
    monkeypatch.setattr(depths, "rising_seconds", lambda: hours.now)
    read = store._connections.read

    async def slow(statement: Statement, values: Any) -> Any:
        if statement in (SQL["counts"], SQL["queues"]):
            hours.now += hours.took
        return await read(statement, values)

    monkeypatch.setattr(store._connections, "read", slow)
    return hours


@pytest.fixture
async def dear(store: PostgresStore, hours: Hours) -> PostgresStore:
    """A store whose looks at everything were dear; it is ``at(1000)``, and nothing is queued."""
    await store.promote_due(1, at(1000))
    await store.declare_queues(["default"])
    hours.took = 0.5
    await store.queues()
    await store.counts()
    return store


async def line_of(store: PostgresStore) -> tuple[int, Any]:
    [queue] = await store.queues()
    return queue.default, queue.oldest_default_at


async def test_while_it_is_cheap_everything_is_counted_every_time(store: PostgresStore, hours: Hours) -> None:
    await store.promote_due(1, at(1000))
    await store.declare_queues(["default"])
    await store.queues()
    await store.counts()
    await inserted(store, now=at(5))  # far behind any mark

    assert await line_of(store) == (1, at(5))
    assert (await store.counts())[Status.QUEUED] == 1


async def test_where_it_was_dear_lines_are_counted_from_marks(dear: PostgresStore) -> None:
    assert dear._depths._marks[LINE] == at(1000) - SLACK
    await inserted(dear, now=at(999))  # it took its time to commit
    await inserted(dear, now=at(1001))

    assert await line_of(dear) == (2, at(999))
    assert (await dear.counts())[Status.QUEUED] == 2


async def test_a_mark_stands_before_the_oldest_of_its_line(dear: PostgresStore) -> None:
    await inserted(dear, now=at(995))
    await dear.promote_due(1, at(5000))
    assert await line_of(dear) == (1, at(995))

    assert dear._depths._marks[LINE] == at(995) - SLACK
    assert await line_of(dear) == (1, at(995))


async def test_what_is_behind_a_mark_is_found_when_everything_is_counted(dear: PostgresStore, hours: Hours) -> None:
    await inserted(dear, now=at(5))
    assert await line_of(dear) == (0, None)

    hours.now += LONGEST_SECONDS

    assert await line_of(dear) == (1, at(5))
    assert (await dear.counts())[Status.QUEUED] == 1
    assert await line_of(dear) == (1, at(5))  # from a mark again, which stands before it


async def test_where_it_was_dear_what_runs_is_what_workers_said(dear: PostgresStore, worker_id: WorkerId) -> None:
    jobs = [await started(dear, worker_id) for _ in range(3)]
    await settle(dear, jobs[0].id, 1, Verb.FAIL, error="no")
    await dear.beat(worker_id, 2, at(1001))

    counts = await dear.counts()

    assert (counts[Status.PROCESSING], counts[Status.FAILED], counts[Status.COMPLETED]) == (2, 1, 0)
    assert counts.keys() == set(Status)


async def test_without_the_time_there_are_no_marks(store: PostgresStore, hours: Hours) -> None:
    await store.declare_queues(["default"])
    hours.took = 0.5
    await store.queues()
    await inserted(store, now=at(5))

    assert await line_of(store) == (1, at(5))


async def test_a_count_that_comes_to_no_end_is_made_from_marks(
    dear: PostgresStore, hours: Hours, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = dear._connections.read

    async def too_long(statement: Statement, values: Any) -> Any:
        if statement in (SQL["counts"], SQL["queues"]):
            raise Unavailable("canceling statement due to statement timeout")
        return await read(statement, values)

    monkeypatch.setattr(dear._connections, "read", too_long)
    hours.now += LONGEST_SECONDS
    await inserted(dear, now=at(1001))

    assert await line_of(dear) == (1, at(1001))
    assert (await dear.counts())[Status.QUEUED] == 1


async def test_dead_entries_under_an_open_transaction_are_not_walked_over_from_a_mark(
    store: PostgresStore, worker_id: WorkerId, beside: Beside
) -> None:
    async with a_line_left(store, worker_id, await beside()):
        looking = await beside()
        for setting, value in SESSION.items():
            await looking.fetchval("SELECT set_config($1, $2, false)", setting, value)

        async def read_by(name: str, **values: Any) -> int:
            statement = SQL[name]
            plan = await looking.fetch(
                f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {statement.text}",
                *statement.arguments({"cap": 10_000, **values}),
            )
            return int(json.loads(plan[0][0])[0]["Plan"]["Shared Hit Blocks"])

        marks = {"mark_queues": ["default"] * 2, "mark_priorities": ["high", "default"], "marks": [at(29) - SLACK] * 2}
        none: dict[str, list[Any]] = {name: [] for name in marks}
        from_the_heads, from_the_marks = await read_by("lines", **none), await read_by("lines", **marks)

    assert from_the_marks * 2 < from_the_heads
