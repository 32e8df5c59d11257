"""Announce (D1, D2): it never raises, never waits, and whatever becomes of a hint, nobody may rely on it."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.conftest import NewDispatch
from tests.waiting import loop_turns
from treadle.dispatch.protocol import Dispatch
from treadle.ids import new_job_id
from treadle.queue import Priority

MANY = 300_000


async def test_any_number_of_hints_is_taken_in_without_a_word(dispatch: Dispatch) -> None:
    dispatch.announce("default", Priority.DEFAULT, [new_job_id() for _ in range(MANY)])

    for _ in range(100):
        dispatch.announce("default", Priority.HIGH, [new_job_id()])


async def test_no_hints_are_nothing_announced(dispatch: Dispatch) -> None:
    dispatch.announce("default", Priority.DEFAULT, [])

    assert await dispatch.take(None, 10, 0.01) == []


async def test_announcing_to_a_closed_dispatch_is_no_error(dispatch: Dispatch) -> None:
    await dispatch.aclose()

    dispatch.announce("default", Priority.DEFAULT, [new_job_id()])


@pytest.mark.needs("hints")
async def test_a_line_nobody_takes_from_keeps_its_oldest_hints_and_no_more_than_it_can_hold(
    dispatch: Dispatch,
) -> None:
    told = [new_job_id() for _ in range(MANY)]
    for start in range(0, MANY, 1000):
        dispatch.announce("default", Priority.DEFAULT, told[start : start + 1000])

    taken = await dispatch.take(None, MANY, 1.0)

    assert 0 < len(taken) < MANY
    assert taken == told[: len(taken)]


# --------------------------------------------------------------------------------------------- closing


async def test_closing_lets_waiting_takes_go_with_nothing(dispatch: Dispatch) -> None:
    takes = [asyncio.create_task(dispatch.take(queues, 10, 60.0)) for queues in (None, ["a"], None)]
    await loop_turns(5)

    await dispatch.aclose()

    assert await asyncio.gather(*takes) == [[], [], []]


async def test_a_take_after_closing_does_not_wait(dispatch: Dispatch) -> None:
    await dispatch.aclose()

    assert await dispatch.take(None, 10, 60.0) == []


async def test_closing_twice_is_closing_once(dispatch: Dispatch) -> None:
    await dispatch.aclose()
    await dispatch.aclose()


async def test_a_take_after_closing_starts_nothing(new_dispatch: NewDispatch) -> None:
    async def changes() -> int:
        raise AssertionError("nobody listens any more")

    dispatch = new_dispatch(changes)
    await dispatch.aclose()
    before = asyncio.all_tasks()

    await dispatch.take(None, 10, 0.0)

    assert asyncio.all_tasks() == before
