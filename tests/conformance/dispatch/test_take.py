"""Take (D3): high before default, first in first out inside a line, at most what was asked for, one line at a time."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.waiting import loop_turns
from treadle.dispatch.protocol import Dispatch
from treadle.ids import JobId, new_job_id
from treadle.queue import Priority

pytestmark = pytest.mark.needs("hints")

LONG_SECONDS = 60.0
"""A take that is to be woken: the test's own time limit ends one that is not."""
SHORT_SECONDS = 0.01
"""A take that is to find nothing."""


def ids(count: int) -> list[JobId]:
    return [new_job_id() for _ in range(count)]


async def test_what_was_announced_is_taken_in_its_order(dispatch: Dispatch) -> None:
    told = ids(5)
    dispatch.announce("default", Priority.DEFAULT, told[:2])
    dispatch.announce("default", Priority.DEFAULT, told[2:])

    assert await dispatch.take(None, 10, LONG_SECONDS) == told


async def test_no_more_is_taken_than_was_asked_for_and_the_rest_stays(dispatch: Dispatch) -> None:
    told = ids(5)
    dispatch.announce("default", Priority.DEFAULT, told)

    taken = [await dispatch.take(None, 2, LONG_SECONDS) for _ in range(3)]

    assert taken == [told[:2], told[2:4], told[4:]]


async def test_a_hint_is_taken_once(dispatch: Dispatch) -> None:
    dispatch.announce("default", Priority.DEFAULT, ids(1))
    await dispatch.take(None, 10, LONG_SECONDS)

    assert await dispatch.take(None, 10, SHORT_SECONDS) == []


async def test_high_lines_of_all_queues_go_before_every_default_line(dispatch: Dispatch) -> None:
    for queue in "abc":
        dispatch.announce(queue, Priority.DEFAULT, ids(2))
    high = ids(3)
    for queue, job_id in zip("cab", high, strict=True):
        dispatch.announce(queue, Priority.HIGH, [job_id])

    taken = [job_id for _ in high for job_id in await dispatch.take(None, 1, LONG_SECONDS)]

    assert sorted(taken) == sorted(high)


async def test_a_take_gives_ids_of_one_line_only(dispatch: Dispatch) -> None:
    lines = {queue: ids(3) for queue in "ab"}
    for queue, told in lines.items():
        dispatch.announce(queue, Priority.DEFAULT, told)

    first, second = [await dispatch.take(None, 10, LONG_SECONDS) for _ in range(2)]

    assert sorted([first, second]) == sorted(lines.values())


async def test_queues_take_turns(dispatch: Dispatch) -> None:
    line_of: dict[JobId, str] = {}
    for queue in "abc":
        told = ids(10)
        line_of |= dict.fromkeys(told, queue)
        dispatch.announce(queue, Priority.DEFAULT, told)

    taken = [line_of[(await dispatch.take(None, 1, LONG_SECONDS))[0]] for _ in range(9)]

    assert min(Counter(taken)[queue] for queue in "abc") >= 1


@pytest.mark.parametrize("priority", Priority)
async def test_only_lines_of_served_queues_are_taken_from(dispatch: Dispatch, priority: Priority) -> None:
    served, other = ids(2), ids(2)
    dispatch.announce("other", priority, other)
    dispatch.announce("served", priority, served)

    assert await dispatch.take(["served", "unheard of"], 10, LONG_SECONDS) == served
    assert await dispatch.take(["served"], 10, SHORT_SECONDS) == []
    assert await dispatch.take(["other"], 10, LONG_SECONDS) == other


async def test_no_queue_served_is_nothing_taken(dispatch: Dispatch) -> None:
    dispatch.announce("default", Priority.DEFAULT, ids(1))

    assert await dispatch.take([], 10, SHORT_SECONDS) == []


async def test_repeated_and_invented_hints_are_passed_on_as_they_are(dispatch: Dispatch) -> None:
    told = [*ids(1) * 3, new_job_id()]
    dispatch.announce("default", Priority.DEFAULT, told)

    assert await dispatch.take(None, 10, LONG_SECONDS) == told


# --------------------------------------------------------------------------------------------- waiting


async def test_nothing_announced_is_nothing_taken_when_the_time_is_up(dispatch: Dispatch) -> None:
    assert await dispatch.take(None, 10, SHORT_SECONDS) == []
    assert await dispatch.take(["a"], 10, 0.0) == []


async def test_a_waiting_take_is_woken_by_what_is_announced(dispatch: Dispatch) -> None:
    told = ids(3)
    taking = asyncio.create_task(dispatch.take(None, 10, LONG_SECONDS))
    await loop_turns(5)

    dispatch.announce("default", Priority.DEFAULT, told)

    assert await taking == told


async def test_a_waiting_take_of_another_queue_does_not_use_up_the_wake_up(dispatch: Dispatch) -> None:
    told = ids(1)
    other = asyncio.create_task(dispatch.take(["other"], 10, LONG_SECONDS))
    await loop_turns(5)
    served = asyncio.create_task(dispatch.take(["served"], 10, LONG_SECONDS))
    await loop_turns(5)

    dispatch.announce("served", Priority.DEFAULT, told)

    assert await served == told
    dispatch.announce("other", Priority.DEFAULT, told)
    await other


async def test_many_waiting_takes_share_what_is_announced(dispatch: Dispatch) -> None:
    takes = [asyncio.create_task(dispatch.take(None, 1, LONG_SECONDS)) for _ in range(5)]
    await loop_turns(5)
    told = ids(5)

    dispatch.announce("default", Priority.DEFAULT, told)

    assert sorted(job_id for taken in await asyncio.gather(*takes) for job_id in taken) == sorted(told)


async def test_a_take_that_is_cancelled_loses_no_hint(dispatch: Dispatch) -> None:
    waiting = asyncio.create_task(dispatch.take(None, 10, LONG_SECONDS))
    await loop_turns(5)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    told = ids(2)

    dispatch.announce("default", Priority.DEFAULT, told)

    assert await dispatch.take(None, 10, LONG_SECONDS) == told


async def test_a_take_that_is_cancelled_when_it_was_just_woken_loses_no_hint(dispatch: Dispatch) -> None:
    waiting = asyncio.create_task(dispatch.take(None, 10, LONG_SECONDS))
    await loop_turns(5)
    told = ids(2)
    dispatch.announce("default", Priority.DEFAULT, told)
    waiting.cancel()
    [outcome] = await asyncio.gather(waiting, return_exceptions=True)

    is_cancelled = isinstance(outcome, asyncio.CancelledError)
    left = await dispatch.take(None, 10, LONG_SECONDS if is_cancelled else SHORT_SECONDS)

    assert left == (told if is_cancelled else [])
