"""Listening: what other processes commit wakes takes too, for a dispatch that hears of it."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.conftest import NewDispatch
from tests.waiting import eventually
from treadle.errors import Unavailable
from treadle.ids import new_job_id
from treadle.queue import Priority

pytestmark = pytest.mark.needs("changes")

LONG_SECONDS = 60.0


class Counter:
    """What ``Store.changes`` tells."""

    def __init__(self) -> None:
        self.number = 7
        self.looks = 0
        self.is_down = False

    async def __call__(self) -> int:
        self.looks += 1
        if self.is_down:
            raise Unavailable
        return self.number

    async def looked_at_again(self) -> None:
        looks = self.looks
        await eventually(lambda: self.looks >= looks + 2)


async def test_a_change_by_another_process_ends_a_take_early_with_nothing(new_dispatch: NewDispatch) -> None:
    counter = Counter()
    taking = asyncio.create_task(new_dispatch(counter).take(None, 10, LONG_SECONDS))
    await counter.looked_at_again()
    assert not taking.done()

    counter.number += 1

    assert await taking == []


async def test_a_change_between_two_takes_ends_the_second_at_once(new_dispatch: NewDispatch) -> None:
    counter = Counter()
    dispatch = new_dispatch(counter)
    await dispatch.take(None, 10, 0.0)
    await counter.looked_at_again()
    counter.number += 1
    await counter.looked_at_again()

    assert await dispatch.take(None, 10, LONG_SECONDS) == []


async def test_a_change_that_goes_backwards_is_a_change(new_dispatch: NewDispatch) -> None:
    counter = Counter()
    taking = asyncio.create_task(new_dispatch(counter).take(None, 10, LONG_SECONDS))
    await counter.looked_at_again()

    counter.number -= 1

    assert await taking == []


async def test_what_was_there_before_anybody_listened_is_no_change(new_dispatch: NewDispatch) -> None:
    counter = Counter()
    dispatch = new_dispatch(counter)
    taking = asyncio.create_task(dispatch.take(None, 10, LONG_SECONDS))

    await counter.looked_at_again()

    assert not taking.done()
    await dispatch.aclose()
    assert await taking == []


async def test_a_store_that_does_not_answer_is_listened_to_again(new_dispatch: NewDispatch) -> None:
    counter = Counter()
    taking = asyncio.create_task(new_dispatch(counter).take(None, 10, LONG_SECONDS))
    await counter.looked_at_again()
    counter.is_down = True
    await counter.looked_at_again()
    counter.is_down = False

    counter.number += 1

    assert await taking == []


async def test_hints_are_heard_while_listening(new_dispatch: NewDispatch) -> None:
    counter = Counter()
    dispatch = new_dispatch(counter)
    taking = asyncio.create_task(dispatch.take(None, 10, LONG_SECONDS))
    await counter.looked_at_again()
    job_id = new_job_id()

    dispatch.announce("default", Priority.DEFAULT, [job_id])

    assert await taking == [job_id]


async def test_nobody_listens_after_closing(new_dispatch: NewDispatch) -> None:
    counter = Counter()
    dispatch = new_dispatch(counter)
    await dispatch.take(None, 10, 0.0)
    await counter.looked_at_again()
    others = {asyncio.current_task()}

    await dispatch.aclose()

    assert asyncio.all_tasks() == others
