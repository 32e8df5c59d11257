"""Where user code runs: it cannot end the loop it shares, and threads are kept and used again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.waiting import eventually
from treadle.worker.handlers import HandlerLoop, HandlerThreads, Inbox


@pytest.fixture
async def loop() -> AsyncIterator[HandlerLoop]:
    loop = HandlerLoop()
    loop.start()
    yield loop
    loop.stop()


async def thread_name() -> str:
    return threading.current_thread().name


async def test_coroutines_run_in_a_thread_of_their_own(loop: HandlerLoop) -> None:
    ended, _ = loop.run(thread_name())

    assert await asyncio.wrap_future(ended) == "treadle-handlers"


async def test_a_coroutine_that_stops_the_loop_stops_nobody(loop: HandlerLoop) -> None:
    async def stop() -> None:
        asyncio.get_running_loop().stop()

    await asyncio.wrap_future(loop.run(stop())[0])

    assert await asyncio.wait_for(asyncio.wrap_future(loop.run(thread_name())[0]), 10)


async def test_a_callback_that_fails_stops_nobody(loop: HandlerLoop) -> None:
    def fail() -> None:
        raise SystemExit(7)

    async def schedule() -> None:
        asyncio.get_running_loop().call_soon(fail)

    await asyncio.wrap_future(loop.run(schedule())[0])

    assert await asyncio.wait_for(asyncio.wrap_future(loop.run(thread_name())[0]), 10)


async def test_the_thread_ends_when_the_loop_is_stopped() -> None:
    loop = HandlerLoop()
    loop.start()
    assert loop._thread.is_alive()

    loop.stop()

    await eventually(lambda: not loop._thread.is_alive())


async def test_an_interrupted_coroutine_is_done_only_when_it_has_really_ended(loop: HandlerLoop) -> None:
    begun, cleaning, clean = threading.Event(), threading.Event(), threading.Event()

    async def slow_to_go() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await asyncio.to_thread(clean.wait)
        return "unreachable"

    ended, interrupt = loop.run(slow_to_go())
    await eventually(begun.is_set)
    interrupt()
    await eventually(cleaning.is_set)
    assert not ended.done()

    clean.set()

    await eventually(ended.done)
    assert isinstance(ended.exception(), asyncio.CancelledError)


def brought(threads: HandlerThreads, work: Callable[[], Any]) -> asyncio.Future[Any]:
    """What ``work`` returns in one of the threads."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def bring() -> None:
        loop.call_soon_threadsafe(future.set_result, work())

    threads.run(bring)
    return future


async def test_threads_are_used_again() -> None:
    threads = HandlerThreads()
    first = await brought(threads, threading.get_ident)
    await eventually(lambda: len(threads._idle) == 1)

    assert await brought(threads, threading.get_ident) == first


async def test_a_busy_thread_keeps_nobody_waiting() -> None:
    threads, go_on = HandlerThreads(), threading.Event()
    waiting = [brought(threads, go_on.wait) for _ in range(3)]

    assert await brought(threads, lambda: 4) == 4

    go_on.set()
    assert await asyncio.gather(*waiting) == [True] * 3


async def test_what_threads_bring_arrives_once_and_in_few_turns() -> None:
    received: list[list[int]] = []
    inbox: Inbox[int] = Inbox(lambda numbers: received.append(list(numbers)))

    def bring() -> None:
        for number in range(1000):
            inbox.bring(number)

    bringing = [threading.Thread(target=bring) for _ in range(4)]
    for thread in bringing:
        thread.start()
    for thread in bringing:
        await asyncio.to_thread(thread.join)
    await eventually(lambda: sum(map(len, received)) == 4000)

    assert sorted(number for numbers in received for number in numbers) == sorted([*range(1000)] * 4)


async def test_what_is_brought_in_one_turn_is_received_together() -> None:
    received: list[list[int]] = []
    inbox: Inbox[int] = Inbox(lambda numbers: received.append(list(numbers)))

    for number in range(5):
        inbox.bring(number)
    await eventually(lambda: received)

    assert received == [[0, 1, 2, 3, 4]]


def test_to_a_loop_that_has_ended_nothing_is_brought() -> None:
    async def make() -> Inbox[int]:
        return Inbox(lambda _: None)

    inbox = asyncio.run(make())

    inbox.bring(1)
