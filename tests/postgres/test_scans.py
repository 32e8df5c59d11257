"""Scans begin at marks, and still find everything: what stands behind a mark, what came late, what was given back."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta

import pytest

from tests.builders import NOW, a_new_job
from tests.conformance.steps import at, insert, inserted, scan
from tests.postgres.conftest import Beside
from tests.postgres.left import a_line_left
from treadle.errors import OutcomeUnknown, Unavailable
from treadle.ids import WorkerId
from treadle.queue import Priority
from treadle.store.postgres.marks import LONGEST_SECONDS, SLACK, Marks
from treadle.store.postgres.store import PostgresStore

LINE = ("default", Priority.DEFAULT)


# ------------------------------------------------------------------------------------------ where they begin


def test_the_first_scan_begins_at_the_heads() -> None:
    assert Marks().begin(["A"], 0.0) == {}


def test_the_next_one_begins_a_little_before_the_last_job_that_was_seen() -> None:
    known = Marks()
    known.begin(["A"], 0.0)
    known.looked_at_everything(0.0, 0.01)
    for seconds in (5, 9, 7):
        known.saw(LINE, at(seconds))

    assert known.begin(["A"], 1.0) == {LINE: at(9) - SLACK}


def test_other_types_begin_at_the_heads() -> None:
    known = Marks()
    known.begin(["A"], 0.0)
    known.looked_at_everything(0.0, 0.01)
    known.saw(LINE, NOW)

    assert known.begin(["A", "B"], 1.0) == {}
    assert known.begin(["B", "A"], 1.0) == {}


def test_every_few_minutes_marks_are_forgotten() -> None:
    known = Marks()
    known.begin(["A"], 0.0)
    known.looked_at_everything(0.0, 0.01)
    known.saw(LINE, NOW)

    assert known.begin(["A"], LONGEST_SECONDS) != {}
    assert known.begin(["A"], LONGEST_SECONDS + 0.02) == {}


@pytest.mark.parametrize(("took", "again_after"), [(0.05, 0.0), (0.2, 20.0), (5.0, LONGEST_SECONDS)])
def test_a_look_behind_the_marks_is_made_the_more_rarely_the_dearer_it_was(took: float, again_after: float) -> None:
    known = Marks()
    known.looked_at_everything(0.0, took)

    assert known.may_look_behind(took + again_after)
    assert not again_after or not known.may_look_behind(took + again_after - 0.1)


# --------------------------------------------------------------------------------------------- what they find


@pytest.fixture
async def marked(store: PostgresStore, worker_id: WorkerId) -> PostgresStore:
    """A store whose scans have come far: full every time, so that its mark stands near ``at(1000)``."""
    await insert(store, *(a_new_job() for _ in range(2)), now=at(1000))
    for _ in range(2):
        assert len(await scan(store, worker_id, limit=1)) == 1
    assert store._scanning._marks.begin(["TEST"], 0.0)[LINE] == at(1000) - SLACK
    return store


def behind(seconds: float = 500) -> datetime:
    return at(1000) - timedelta(seconds=seconds)


async def test_a_job_that_was_made_behind_the_mark_is_found_by_the_next_scan(
    marked: PostgresStore, worker_id: WorkerId
) -> None:
    late = await inserted(marked, now=behind())

    assert [job.id for job in await scan(marked, worker_id)] == [late]


async def test_what_is_ahead_and_what_is_behind_come_in_ready_order(marked: PostgresStore, worker_id: WorkerId) -> None:
    ahead = [await inserted(marked, now=at(seconds)) for seconds in (1002, 1001)]
    late = await inserted(marked, now=behind())

    assert [job.id for job in await scan(marked, worker_id)] == [late, ahead[1], ahead[0]]


async def test_while_scans_come_back_full_they_do_not_look_behind(marked: PostgresStore, worker_id: WorkerId) -> None:
    ahead = await inserted(marked, now=at(1001))
    late = await inserted(marked, now=behind())

    assert [job.id for job in await scan(marked, worker_id, limit=1)] == [ahead]
    assert [job.id for job in await scan(marked, worker_id, limit=1)] == [late]


async def test_where_a_look_behind_is_dear_it_is_made_when_it_is_due(
    marked: PostgresStore, worker_id: WorkerId
) -> None:
    late = await inserted(marked, now=behind())
    known = marked._scanning._marks
    known.looked_at_everything(0.0, 1e9)  # the last one took for ever, and ended far in the future

    assert await scan(marked, worker_id) == []
    known.looked_at_everything(-1e9, -1e9 + 60)  # now it is due
    assert [job.id for job in await scan(marked, worker_id)] == [late]


async def test_a_line_of_its_own_has_a_mark_of_its_own(marked: PostgresStore, worker_id: WorkerId) -> None:
    others = [
        await inserted(marked, now=behind(), priority=Priority.HIGH),
        await inserted(marked, now=behind(), queue="other"),
    ]

    found = [(await scan(marked, worker_id, limit=1))[0].id for _ in range(2)]

    assert found == others


async def test_scans_of_two_that_see_different_types_do_not_hide_anything(
    store: PostgresStore, worker_id: WorkerId
) -> None:
    foreign = await inserted(store, type="OTHER", now=at(0))
    for seconds in range(1000, 1003):
        await inserted(store, now=at(seconds))
    for _ in range(2):
        await scan(store, worker_id, limit=1)

    assert [job.id for job in await scan(store, worker_id, limit=1, types=("OTHER",))] == [foreign]


async def test_a_claim_that_a_second_look_failed_for_is_not_lost(
    marked: PostgresStore, worker_id: WorkerId, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = await inserted(marked, now=at(1001))
    connections = marked._connections
    write, calls = connections.write, []

    async def fail_the_second(statement: object, values: object) -> object:
        calls.append(statement)
        if len(calls) == 2:
            raise Unavailable("no")
        return await write(statement, values)  # type: ignore[arg-type]

    monkeypatch.setattr(connections, "write", fail_the_second)

    assert [job.id for job in await scan(marked, worker_id)] == [ahead]
    assert len(calls) == 2


async def test_a_claim_whose_second_look_was_perhaps_done_fails_so_that_beats_look_for_it(
    marked: PostgresStore, worker_id: WorkerId, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind_it, ahead = await inserted(marked, now=behind()), await inserted(marked, now=at(1001))
    connections = marked._connections
    write, calls = connections.write, []

    async def lose_the_second_answer(statement: object, values: object) -> object:
        calls.append(statement)
        answer = await write(statement, values)  # type: ignore[arg-type]
        if len(calls) == 2:
            raise OutcomeUnknown("no")
        return answer

    monkeypatch.setattr(connections, "write", lose_the_second_answer)

    with pytest.raises(OutcomeUnknown):
        await scan(marked, worker_id)
    assert {behind_it, ahead} <= {job.job_id for job in await marked.beat(worker_id, 0, at(2)) or ()}


async def test_dead_entries_under_an_open_transaction_are_not_walked_over_from_a_mark(
    store: PostgresStore, worker_id: WorkerId, beside: Beside
) -> None:
    async with a_line_left(store, worker_id, await beside()):
        looking = await beside()

        async def read_by(mark: datetime) -> int:
            plan = await looking.fetch(
                "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) SELECT id FROM jobs WHERE status = 'queued'"
                " AND queue = 'default' AND priority = 'default' AND queued_at >= $1 ORDER BY queued_at, id LIMIT 100",
                mark,
            )
            [told] = json.loads(plan[0][0])
            return int(told["Plan"]["Shared Hit Blocks"])

        from_the_head, from_the_mark = await read_by(at(-1)), await read_by(at(29) - SLACK)

    assert from_the_mark * 2 < from_the_head


async def test_scans_at_once_share_the_marks_and_lose_nothing(store: PostgresStore, worker_id: WorkerId) -> None:
    ids = [await inserted(store, now=at(seconds)) for seconds in range(0, 3000, 60)]
    found: list[str] = []

    async def take() -> None:
        while jobs := await scan(store, worker_id, limit=3):
            found.extend(job.id for job in jobs)

    await asyncio.gather(*(take() for _ in range(4)))

    assert sorted(found) == sorted(ids)


# ------------------------------------------------------------------------------------------------ with nothing to do


async def test_an_idle_scan_only_looks_and_the_first_job_is_claimed_at_once(
    store: PostgresStore, worker_id: WorkerId, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await scan(store, worker_id) == []
    monkeypatch.setattr(store._connections, "write", refused)
    for _ in range(3):
        assert await scan(store, worker_id) == []
    monkeypatch.undo()

    [job] = await insert(store, a_new_job())

    assert [claimed.id for claimed in await scan(store, worker_id)] == [job]


async def test_a_look_for_due_jobs_that_finds_none_writes_nothing(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await insert(store, a_new_job(run_at=at(10)))
    monkeypatch.setattr(store._connections, "write", refused)

    promoted = await store.promote_due(10, at(9))

    assert (promoted.hints, promoted.next_run_at) == ((), at(10))


async def refused(*_: object) -> None:
    raise AssertionError("an idle look is no write")
