"""Waiting for a condition: the only home of sleeps in tests.

A test says what it waits for and never how long it should take.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, overload

Answer = TypeVar("Answer")

_FIRST_PAUSES_SECONDS = (0.0, 0.0, 0.0, 0.001, 0.002, 0.005)
_PAUSE_SECONDS = 0.01
"""Short against what tests wait for, long enough not to starve the loop that is waited for."""


@overload
async def eventually(predicate: Callable[[], Coroutine[Any, Any, Answer]], *, within_seconds: float = 10) -> Answer: ...
@overload
async def eventually(predicate: Callable[[], Answer], *, within_seconds: float = 10) -> Answer: ...
async def eventually(predicate: Callable[[], Any], *, within_seconds: float = 10) -> Any:
    """Return the first true answer of ``predicate`` (plain or async), looking again and again.

    Raises ``AssertionError`` with the last answer when ``within_seconds`` have passed. The predicate's own
    exceptions pass through: it must be ready to be asked too early.
    """
    give_up_at = time.monotonic() + within_seconds
    pauses = itertools.chain(_FIRST_PAUSES_SECONDS, itertools.repeat(_PAUSE_SECONDS))
    while True:
        asked = predicate()
        answer = await asked if inspect.isawaitable(asked) else asked
        if answer:
            return answer
        if time.monotonic() >= give_up_at:
            raise AssertionError(_complaint(predicate, answer, within_seconds))
        await asyncio.sleep(next(pauses))  # noqa: TID251  (this module is where tests sleep)


def eventually_blocking(predicate: Callable[[], Answer], *, within_seconds: float = 10) -> Answer:
    """``eventually`` for tests without a loop."""
    give_up_at = time.monotonic() + within_seconds
    pauses = itertools.chain(_FIRST_PAUSES_SECONDS, itertools.repeat(_PAUSE_SECONDS))
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() >= give_up_at:
            raise AssertionError(_complaint(predicate, answer, within_seconds))
        time.sleep(next(pauses))  # noqa: TID251


async def loop_turns(count: int) -> None:
    """Let the loop run ``count`` times; no time passes. For what must have happened by then, and for nothing else."""
    for _ in range(count):
        await asyncio.sleep(0)  # noqa: TID251


def _complaint(predicate: Callable[[], object], answer: object, within_seconds: float) -> str:
    code = getattr(predicate, "__code__", None)
    where = f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(predicate)
    return f"not true within {within_seconds:g} s: {where}; the last answer was {answer!r}"
