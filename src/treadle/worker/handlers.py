"""Where user code runs: a loop of its own in a thread of its own, and threads for plain functions.

Claim, settle and beat never share a loop with it: a handler that blocks stalls handlers, not the lease.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

Answer = TypeVar("Answer")

logger = logging.getLogger("treadle.handler")


class Work(Protocol):
    """Something for the handlers' loop to run. Its coroutine tells of its end itself, as its last step: a callback
    for each would be one more turn of the loop."""

    coroutine: Coroutine[Any, Any, Any]
    task: asyncio.Task[Any] | None

    def ended(self, task: asyncio.Task[Any], /) -> None:
        """``task`` was cancelled and has ended: perhaps before its coroutine began, and so without a word of it."""
        ...


class Inbox(Generic[Answer]):
    """What other threads bring to the loop that made it; many answers that come together are one wake-up.

    ``receive`` is called on that loop with all that has come.
    """

    def __init__(self, receive: Callable[[Sequence[Answer]], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._receive = receive
        self._brought: deque[Answer] = deque()
        self._is_told = False

    def bring(self, *answers: Answer) -> None:
        """Hand over, from any thread. To a loop that has ended nothing is brought."""
        self._brought.extend(answers)
        # Looked at after the append: whoever takes resets it before he takes, so that nothing is left behind.
        if not self._is_told:
            self._is_told = True
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        self._is_told = False
        taken: list[Answer] = []
        with suppress(IndexError):
            while True:
                taken.append(self._brought.popleft())
        if taken:
            self._receive(taken)


class HandlerLoop:
    """An asyncio loop in a daemon thread."""

    def __init__(self) -> None:
        # Not uvloop, which would save a microsecond a job: user code meets the loop it was written for. On uvloop a
        # writer without a buffer of its own (set_write_buffer_limits(high=0)) waited for ever in drain.
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

    def run_all(self, works: Sequence[Work]) -> None:
        """Start them in tasks of their own, so that no handler meets another one's context variables."""
        self._loop.call_soon_threadsafe(self._begin, works)

    def cancel(self, work: Work) -> None:
        """Cancel its task, from any thread."""
        # Behind its beginning in the loop's line: the task is there, unless it has ended.
        self._loop.call_soon_threadsafe(_cancel, work)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call in the loop's next turn; for what runs on it already."""
        self._loop.call_soon(callback)

    def _begin(self, works: Sequence[Work]) -> None:
        # What create_task does where nobody has set a factory, without its Python.
        has_factory = self._loop.get_task_factory() is not None
        for work in works:
            coroutine = work.coroutine
            work.task = self._loop.create_task(coroutine) if has_factory else asyncio.Task(coroutine, loop=self._loop)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._is_stopping:
            try:
                self._loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as error:
                # asyncio lets these two out of any task and through the loop. Whoever awaits that task is told all
                # the same, and the other handlers' loop is not his to end (nor is it by calling stop on it).
                logger.warning("%s left a task of a handler; the loop goes on", type(error).__name__)


def _cancel(work: Work) -> None:
    if work.task is not None:
        work.task.add_done_callback(work.ended)
        work.task.cancel()


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

    def run(self, work: Callable[[], None]) -> None:
        """Run ``work``, which raises nothing, in an idle thread or in a new one."""
        try:
            inbox = self._idle.pop()
        except IndexError:
            inbox = SimpleQueue()
            threading.Thread(target=self._serve, args=(inbox,), name="treadle-handler", daemon=True).start()
        inbox.put(work)

    def _serve(self, inbox: SimpleQueue[Callable[[], None]]) -> None:
        while True:
            inbox.get()()
            self._idle.append(inbox)
