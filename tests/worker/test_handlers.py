"""Where user code runs: it cannot end the loop it shares, and threads are kept and used again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from tests.waiting import eventually
from treadle.worker.handlers import HandlerLoop, HandlerThreads


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


async def test_threads_are_used_again(loop: HandlerLoop) -> None:
    threads = HandlerThreads()
    first = await asyncio.wrap_future(threads.run(threading.get_ident))
    await eventually(lambda: len(threads._idle) == 1)

    assert await asyncio.wrap_future(threads.run(threading.get_ident)) == first


async def test_a_busy_thread_keeps_nobody_waiting() -> None:
    threads, go_on = HandlerThreads(), threading.Event()
    waiting = [threads.run(go_on.wait) for _ in range(3)]

    assert await asyncio.wrap_future(threads.run(lambda: 4)) == 4

    go_on.set()
    assert await asyncio.gather(*map(asyncio.wrap_future, waiting)) == [True] * 3


@pytest.mark.parametrize("error", [ValueError(), SystemExit(), KeyboardInterrupt(), GeneratorExit()])
async def test_a_thread_outlives_what_its_work_raises(error: BaseException) -> None:
    threads = HandlerThreads()

    def work() -> None:
        raise error

    failed = threads.run(work)
    await eventually(failed.done)

    assert failed.exception() is error
    assert await asyncio.wrap_future(threads.run(lambda: "on")) == "on"
    assert await eventually(lambda: len(threads._idle)) <= 2
