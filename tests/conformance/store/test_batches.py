"""Batches (S1, S6): all of one or nothing; a row that the database refuses takes its batch with it, and only that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest

from tests.builders import a_move, a_new_job, a_submission, a_worker, an_attempt_error
from tests.conformance.steps import at, insert, move, read_all, scan, started, statuses
from treadle.batching import GroupCommit
from treadle.errors import Unavailable, Unstorable
from treadle.ids import WorkerId
from treadle.states import Status, Verb
from treadle.store.protocol import Inserted, Move, Note, Settled, Store, Submission

LONE_SURROGATE = "half of a pair: \ud83e"

BAD_JOBS: dict[str, dict[str, Any]] = {
    "a type of 129 characters": {"type": "T" * 129},
    "an empty type": {"type": ""},
    "a type with a lone surrogate": {"type": LONE_SURROGATE},
    "a queue of 64 characters": {"queue": "q" * 64},
    "an empty queue": {"queue": ""},
    "a payload cut short": {"payload": b'{"n":'},
    "an empty payload": {"payload": b""},
    "a payload that is not UTF-8": {"payload": b'"\xff\xfe"'},
    "26 attempts": {"max_attempts": 26},
    "no attempts": {"max_attempts": 0},
    "no time": {"timeout_seconds": 0.0},
}
BAD_MOVES: dict[str, dict[str, Any]] = {
    "a result cut short": {"verb": Verb.COMPLETE, "result": b'{"n":'},
    "a result that is not UTF-8": {"verb": Verb.COMPLETE, "result": b'"\xff"'},
    "artifacts cut short": {"verb": Verb.COMPLETE, "result": b"1", "artifacts": b"["},
    "progress cut short": {"verb": Verb.COMPLETE, "result": b"1", "progress": b"["},
    "an error on completion": {"verb": Verb.COMPLETE, "result": b"1", "error": "and yet"},
    "a failure without an error": {"verb": Verb.FAIL, "result": None},
    "a retry without a time": {"verb": Verb.RETRY, "result": None, "error": "no such thing"},
    "a snooze without a time": {"verb": Verb.SNOOZE, "result": None},
    "an error with a lone surrogate": {"verb": Verb.FAIL, "result": None, "error": LONE_SURROGATE},
    "a message with a lone surrogate": {
        "verb": Verb.FAIL,
        "result": None,
        "error": "no such thing",
        "failure": an_attempt_error(message=LONE_SURROGATE),
    },
}
BAD_NOTES: dict[str, dict[str, Any]] = {
    "progress cut short": {"progress": b'{"done":'},
    "progress that is not UTF-8": {"progress": b'"\xff"'},
    "a checkpoint cut short": {"checkpoint": b'{"page":'},
    "a checkpoint that is not UTF-8": {"checkpoint": b'"\xff"'},
}

FIVE = 5
places = pytest.mark.parametrize("place", [0, 2, 4], ids=["first", "in the middle", "last"])


def each(bad: dict[str, dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("bad", bad.values(), ids=bad)


# ----------------------------------------------------------------------------------------- refused as a whole


@places
@each(BAD_JOBS)
async def test_a_bad_job_keeps_its_whole_batch_out(
    store: Store, now: datetime, place: int, bad: dict[str, Any]
) -> None:
    units = [a_submission() for _ in range(FIVE)]
    units[place] = a_submission(**bad)

    with pytest.raises(Unstorable):
        await store.insert(units, now)

    assert await store.get([job.id for unit in units for job in unit.jobs]) == {}


@places
async def test_a_bad_job_keeps_its_whole_request_out(store: Store, now: datetime, place: int) -> None:
    jobs = [a_new_job() for _ in range(FIVE)]
    jobs[place] = a_new_job(queue="q" * 64)

    with pytest.raises(Unstorable):
        await store.insert([a_submission(*jobs)], now)

    assert sum((await store.counts()).values()) == 0


async def test_the_queues_of_a_refused_batch_are_not_declared(store: Store, now: datetime) -> None:
    with pytest.raises(Unstorable):
        await store.insert([a_submission(queue="fine"), a_submission(queue="q" * 64)], now)

    assert await store.queues() == []
    await store.insert([a_submission(queue="fine")], now)
    assert [queue.name for queue in await store.queues()] == ["fine"]


@places
@each(BAD_MOVES)
async def test_a_bad_move_keeps_its_whole_batch_from_ending(
    store: Store, worker_id: WorkerId, place: int, bad: dict[str, Any]
) -> None:
    jobs = [await started(store, worker_id) for _ in range(FIVE)]
    before = await read_all(store, [job.id for job in jobs])
    moves = [move(job.id, 1, Verb.RETRY, failure=an_attempt_error()) for job in jobs]
    moves[place] = a_move(job_id=jobs[place].id, **bad)

    with pytest.raises(Unstorable):
        await store.settle(moves, at(5))

    assert await read_all(store, [job.id for job in jobs]) == before


@places
@each(BAD_NOTES)
async def test_a_bad_note_keeps_its_whole_batch_from_being_written(
    store: Store, worker_id: WorkerId, place: int, bad: dict[str, Any]
) -> None:
    jobs = [await started(store, worker_id) for _ in range(FIVE)]
    before = await read_all(store, [job.id for job in jobs])
    notes = [Note(job.id, 1, progress=b"1", checkpoint=b"1") for job in jobs]
    notes[place] = Note(jobs[place].id, 1, **bad)

    with pytest.raises(Unstorable):
        await store.note(notes, at(5))

    assert await read_all(store, [job.id for job in jobs]) == before


async def test_a_worker_whose_host_has_no_name_in_unicode_is_refused(store: Store) -> None:
    with pytest.raises(Unstorable):
        await store.register_worker(a_worker(host=LONE_SURROGATE))

    assert await store.workers() == []


@places
async def test_a_bad_queue_name_keeps_all_from_being_declared(store: Store, place: int) -> None:
    names = ["a", "b", "c", "d", "e"]
    names[place] = "q" * 64

    with pytest.raises(Unstorable):
        await store.declare_queues(names)

    assert await store.queues() == []


async def test_a_store_that_refused_something_goes_on(store: Store, worker_id: WorkerId, now: datetime) -> None:
    for _ in range(3):
        with pytest.raises(Unstorable):
            await store.insert([a_submission(payload=b"{")], now)

        job = await started(store, worker_id)

        assert (await store.settle([move(job.id, 1, Verb.COMPLETE)], now))[0].status is Status.COMPLETED


# ------------------------------------------------------------------------- only the bad one fails, through a group


async def together(group: GroupCommit[Any, Any], items: Sequence[object]) -> list[Any]:
    return await asyncio.gather(*(group.submit(item) for item in items), return_exceptions=True)


@pytest.mark.parametrize("bad_places", [{0}, {9}, {19}, {0, 19}, {3, 4, 5}, {1, 7, 8, 13}, set(range(20))], ids=str)
async def test_of_requests_that_wait_together_only_the_bad_ones_fail(
    store: Store, now: datetime, bad_places: set[int]
) -> None:
    units = [
        a_submission(a_new_job(), a_new_job(queue="q" * 64 if place in bad_places else "fine")) for place in range(20)
    ]

    async def commit(batch: Sequence[Submission]) -> list[Any]:
        return list(await store.insert(batch, now))

    answers = await together(GroupCommit(commit), units)

    for place, (unit, answer) in enumerate(zip(units, answers, strict=True)):
        ids = [job.id for job in unit.jobs]
        if place in bad_places:
            assert isinstance(answer, Unstorable)
            assert await store.get(ids) == {}
        else:
            assert answer == Inserted(tuple(ids))
            assert await statuses(store, ids) == ["queued", "queued"]
    assert sum((await store.counts()).values()) == 2 * (20 - len(bad_places))


@pytest.mark.parametrize("bad_places", [{0}, {9}, {19}, {0, 19}, {3, 4, 5}, {1, 7, 8, 13}], ids=str)
async def test_of_moves_that_wait_together_only_the_bad_ones_fail_and_the_others_count_once(
    store: Store, worker_id: WorkerId, bad_places: set[int]
) -> None:
    ids = await insert(store, *(a_new_job() for _ in range(20)))
    await scan(store, worker_id)
    moves = [move(job_id, 1, Verb.RETRY, failure=an_attempt_error()) for job_id in ids]
    for place in bad_places:
        moves[place] = a_move(job_id=ids[place], result=b"{")

    async def commit(batch: Sequence[Move]) -> list[Settled]:
        return await store.settle(batch, at(5))

    answers = await together(GroupCommit(commit), moves)

    for place, (answer, stored) in enumerate(zip(answers, await read_all(store, ids), strict=True)):
        if place in bad_places:
            assert isinstance(answer, Unstorable)
            assert (stored.status, stored.failures) == (Status.PROCESSING, 0)
        else:
            assert answer.status is Status.RETRYING
            assert (stored.status, stored.failures) == (Status.RETRYING, 1)


async def test_of_notes_that_wait_together_only_the_bad_one_fails(store: Store, worker_id: WorkerId) -> None:
    jobs = [await started(store, worker_id) for _ in range(7)]
    notes = [Note(job.id, 1, checkpoint=b"{" if job is jobs[3] else b"7") for job in jobs]

    async def commit(batch: Sequence[Note]) -> list[bool]:
        return await store.note(batch, at(5))

    answers = await together(GroupCommit(commit), notes)

    assert isinstance(answers.pop(3), Unstorable)
    assert answers == [True] * 6


# -------------------------------------------------------------------------------------------------- closed


async def test_a_closed_store_is_unavailable(store: Store, worker_id: WorkerId, now: datetime) -> None:
    await store.aclose()

    with pytest.raises(Unavailable):
        await store.insert([a_submission()], now)
    with pytest.raises(Unavailable):
        await store.counts()


async def test_closing_twice_is_closing_once(store: Store) -> None:
    await store.aclose()
    await store.aclose()


async def test_what_was_begun_is_finished_when_a_store_closes(
    store: Store, another_store: Callable[[], Any], now: datetime
) -> None:
    units = [a_submission() for _ in range(50)]
    writes = [asyncio.create_task(store.insert([unit], now)) for unit in units]
    await asyncio.gather(*writes[:1])

    await store.aclose()

    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    other: Store = await another_store()
    found = await other.statuses([unit.jobs[0].id for unit in units])
    for unit, outcome in zip(units, outcomes, strict=True):
        assert (unit.jobs[0].id in found) is not isinstance(outcome, Unavailable)


async def test_an_empty_batch_is_an_empty_answer(store: Store, now: datetime) -> None:
    assert await store.insert([], now) == []
    assert await store.settle([], now) == []
    assert await store.note([], now) == []
    assert await store.operate(Verb.CANCEL, [], now) == []
