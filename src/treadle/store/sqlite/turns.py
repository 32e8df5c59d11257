"""Turns: what waits for the writer together goes into one transaction, and is told after one flush.

A commit costs a flush, however much is in it: a worker's claim, its ends and the submissions of that moment share
one. Nobody waits for others to come; a turn takes what is there when the one before it is over.

Units of a turn share its fate only where that is good. Whatever fails in one of them, or at the commit, undoes the
turn, and each unit is done again in a transaction of its own: who is at fault is told so, the others lose nothing,
and nothing is confirmed that was undone. Savepoints would not do: what a full disk or a failed read ends is the
whole transaction around them (sqlite.org/lang_transaction.html, "Response To Errors Within A Transaction"). Only
where no lock was to be had, or nobody knows what a commit did, is that the answer of all.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

from treadle.errors import OutcomeUnknown, Unavailable
from treadle.store.sqlite.faults import primary_code, roll_back, translate, translated

Answer = TypeVar("Answer")
Work = Callable[[sqlite3.Connection], Answer]

MAX_ROWS = 1000
"""Of several units in a turn: what is small waits for what is large behind it no longer than this takes."""


class _Unit(Generic[Answer]):
    """One caller's work, and what came of it: an error, or else the answer."""

    __slots__ = ("answer", "error", "future", "loop", "rows", "work")

    def __init__(self, work: Work[Answer], rows: int) -> None:
        self.work = work
        self.rows = rows
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Answer] = self.loop.create_future()
        self.answer: Answer
        self.error: BaseException | None = None

    def tell(self) -> None:
        """On its own loop."""
        if self.future.done():  # the caller went away, and that takes nothing back
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.answer)


class Turns:
    """The line before a connection that one thread writes with; ``connect`` gives it, there."""

    def __init__(self, thread: ThreadPoolExecutor, connect: Callable[[], sqlite3.Connection]) -> None:
        self._thread = thread
        self._connect = connect
        self._waiting: deque[_Unit[Any]] = deque()
        self._is_called = False

    async def take_part(self, work: Work[Answer], rows: int) -> Answer:
        """Do ``work`` in the next turn; its answer, after the commit. Raises what it raises, and as S6 says.

        It may be done more than once until it is done, and so changes nothing but the database.
        """
        unit = _Unit(work, rows)
        self._waiting.append(unit)
        try:
            self._call()
        except RuntimeError as error:  # the thread has ended
            self._waiting.remove(unit)
            raise Unavailable("the store is closed") from error
        return await unit.future

    def _call(self) -> None:
        # Looked at after the append: a turn resets it before it takes, so that nothing is left behind.
        if not self._is_called:
            self._is_called = True
            try:
                self._thread.submit(self._turn)
            except RuntimeError:
                self._is_called = False
                raise

    def _turn(self) -> None:
        self._is_called = False
        waiting: list[_Unit[Any]] = []
        with suppress(IndexError):
            while True:
                waiting.append(self._waiting.popleft())
        for units in _turns_of(unit for unit in waiting if not unit.future.cancelled()):
            try:
                if not self._do(units):
                    for unit in units:
                        self._do([unit])
            except BaseException as error:  # a bug of ours: callers would wait for ever
                _fail(units, OutcomeUnknown(f"the writer broke ({type(error).__name__})"), error)
            _tell(units)

    def _do(self, units: Sequence[_Unit[Any]]) -> bool:
        """Do them in one transaction. ``False``: nothing was done, and who of several is at fault is to be found."""
        try:
            connection = self._connect()
            translated(lambda: connection.execute("BEGIN IMMEDIATE"))
        except Exception as error:
            _fail(units, error)
            return True
        try:
            for unit in units:
                unit.answer = translated(partial(unit.work, connection))
        except BaseException as error:
            roll_back(connection)
            if len(units) > 1:
                return False
            _fail(units, error)
            return True
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            roll_back(connection)
            # A flush that failed may still have reached the disk; a full disk or a lock surely has not.
            if primary_code(error) == sqlite3.SQLITE_IOERR:
                _fail(units, OutcomeUnknown("the disk failed while a commit was flushed"), error)
            elif len(units) > 1:
                return False
            else:
                _fail(units, translate(error), error)
        return True


def _turns_of(waiting: Iterable[_Unit[Any]]) -> Iterator[list[_Unit[Any]]]:
    units: list[_Unit[Any]] = []
    rows = 0
    for unit in waiting:
        if units and rows + unit.rows > MAX_ROWS:
            yield units
            units, rows = [], 0
        units.append(unit)
        rows += unit.rows
    if units:
        yield units


def _fail(units: Sequence[_Unit[Any]], error: BaseException, cause: BaseException | None = None) -> None:
    if cause is not None:
        error.__cause__ = cause
    for unit in units:
        unit.error = error


def _tell(units: Sequence[_Unit[Any]]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Unit[Any]]] = {}
    for unit in units:
        by_loop.setdefault(unit.loop, []).append(unit)
    for loop, told in by_loop.items():
        with suppress(RuntimeError):  # a loop that has ended waits for nothing
            loop.call_soon_threadsafe(_tell_here, told)


def _tell_here(units: Sequence[_Unit[Any]]) -> None:
    for unit in units:
        unit.tell()
