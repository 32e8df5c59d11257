"""Where user code runs: a loop of its own in a thread of its own, and threads for plain functions.

Claim, settle and beat never share a loop with it: a handler that blocks stalls handlers, not the lease.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

Answer = TypeVar("Answer")

logger = logging.getLogger("treadle.handler")


class HandlerLoop:
    """An asyncio loop in a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="treadle-handlers", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the loop end; does not wait for handlers that block it."""
        self._is_stopping = True
        self._loop.call_soon_threadsafe(self._loop.stop)

    def run(self, work: Coroutine[Any, Any, Answer]) -> tuple[Future[Answer], Callable[[], None]]:
        """Start a coroutine. Its future, which is done only when the coroutine has really ended, and an interrupt."""
        ended: Future[Answer] = Future()
        tasks: list[asyncio.Task[Answer]] = []

        def begin() -> None:
            task = self._loop.create_task(work)
            tasks.append(task)
            task.add_done_callback(lambda done: _pass_on(done, ended))

        def interrupt() -> None:
            self._loop.call_soon_threadsafe(lambda: tasks and tasks[0].cancel())

        self._loop.call_soon_threadsafe(begin)
        return ended, interrupt

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._is_stopping:
            try:
                self._loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as error:
                # asyncio lets these two out of any task and through the loop. Whoever awaits that task is told all
                # the same, and the other handlers' loop is not his to end (nor is it by calling stop on it).
                logger.warning("%s left a task of a handler; the loop goes on", type(error).__name__)


def _pass_on(task: asyncio.Task[Answer], ended: Future[Answer]) -> None:
    if task.cancelled():
        ended.set_exception(asyncio.CancelledError())
    elif (error := task.exception()) is not None:
        ended.set_exception(error)
    else:
        ended.set_result(task.result())


class HandlerThreads:
    """Daemon threads, made when needed and kept for the next call.

    Not ``ThreadPoolExecutor``: the interpreter joins its threads at exit, and one handler that never returns
    would keep a stopped worker from ending.
    """

    def __init__(self) -> None:
        self._idle: deque[SimpleQueue[Callable[[], None]]] = deque()

    def run(self, work: Callable[[], Answer]) -> Future[Answer]:
        """Run ``work`` in an idle thread, or in a new one."""
        ended: Future[Answer] = Future()
        try:
            inbox = self._idle.pop()
        except IndexError:
            inbox = SimpleQueue()
            threading.Thread(target=self._serve, args=(inbox,), name="treadle-handler", daemon=True).start()

        def call() -> None:
            try:
                answer = work()
            except BaseException as error:
                ended.set_exception(error)
            else:
                ended.set_result(answer)

        inbox.put(call)
        return ended

    def _serve(self, inbox: SimpleQueue[Callable[[], None]]) -> None:
        while True:
            inbox.get()()
            self._idle.append(inbox)
