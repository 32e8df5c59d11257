"""``Link``: whether Redis can be used, and asking it. Redis may do anything; nothing here raises but ``Away``."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum, auto
from typing import Any

from redis.asyncio.connection import AbstractConnection, ConnectionPoolInterface
from redis.exceptions import ResponseError

from treadle.dispatch.address import Address
from treadle.dispatch.reason import OLDEST_MAJOR, is_wrong_type, reason_of
from treadle.dispatch.sparing import Sparing

logger = logging.getLogger("treadle.hints")

ANSWER_SECONDS = 1.0
"""A server that answers later is no help: a scan is faster."""
REACH_SECONDS = 3.0
"""For a new connection with its TLS and login, for which nobody waits."""
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
"""Between two tries to reach it: below two seconds, so that it is used again two seconds after it is up."""
STEADY_SECONDS = 10.0
"""Up for so long, and the next pauses begin short again: a server that comes and goes is not asked in a circle."""

Command = Sequence[str | int]


class Away(Exception):
    """Redis cannot be used now; the link has drawn its conclusions already."""


class _State(Enum):
    NEW = auto()
    UP = auto()
    AWAY = auto()


class Link:
    """One process's way to Redis, on one loop. ``changed`` is told ``True`` when it is up and ``False`` when away.

    While it is away one task tries to reach it, and nobody else does. A try proves all that is needed: that it
    takes writes that add, writes that take away, and knows BLMPOP.
    """

    def __init__(self, address: Address, probe_lines: Sequence[str], changed: Callable[[bool], None]) -> None:
        self._address = address
        self._pool = address.new_pool()
        self._probe: tuple[Command, ...] = (
            ("INFO", "server"),
            ("RPUSHX", probe_lines[0], ""),
            ("BLMPOP", "0.001", len(probe_lines), *probe_lines, "LEFT"),
        )
        self._changed = changed
        self._state = _State.NEW
        self._sparing = Sparing(logger)
        self._reaching: asyncio.Task[None] | None = None
        self._verdict: asyncio.Future[None] | None = None
        self._asking: set[asyncio.Task[list[Any]]] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._up_since = 0.0
        self._closed = False
        self.reason: str | None = None
        """Why it is away."""

    @property
    def is_up(self) -> bool:
        """Whether it was of use when last asked."""
        return self._state is _State.UP

    @property
    def is_away(self) -> bool:
        """Whether it was of no use when last asked. Before the first answer it is neither up nor away."""
        return self._state is _State.AWAY

    def start(self) -> None:
        """Begin to reach it. More than once is once."""
        if self._reaching is None and not self._closed:
            self._verdict = asyncio.get_running_loop().create_future()
            self._reaching = asyncio.create_task(self._reach(at_once=True))

    async def first_verdict(self, timeout_seconds: float) -> None:
        """Wait until it is known whether Redis can be used, or the time is up."""
        if self._verdict is not None:
            await asyncio.wait((self._verdict,), timeout=timeout_seconds)

    async def ask(self, commands: Sequence[Command], patience_seconds: float) -> list[Any]:
        """The replies, in order; an error that Redis answered is among them as what it is. Raises ``Away``."""
        pool = self._pool
        try:
            return await self._within(commands, patience_seconds)
        except Away as away:
            if pool is self._pool:  # else it was lost, and perhaps found again, before this answer was
                self._went_away(str(away))
            raise

    def refuse(self, error: Exception) -> Away:
        """Draw the conclusions from an error that Redis answered: it cannot be used now."""
        self._went_away(reason_of(error))
        return Away(self.reason)

    async def check(self) -> None:
        """Look whether it is of use right now. Raises ``Away``."""
        self.start()
        if self._state is _State.NEW:
            await self.first_verdict(ANSWER_SECONDS)
        if self._state is not _State.UP:
            raise Away(self.reason or "it does not answer in time")
        try:
            await self._try(ANSWER_SECONDS)
        except Away as away:
            self._went_away(str(away))
            raise

    async def aclose(self) -> None:
        """Let go: whoever waits for an answer gets ``Away``."""
        self._closed = True
        self._state = _State.AWAY
        self._decide()
        tasks: list[asyncio.Task[Any]] = [*self._asking, *self._leaving]
        if self._reaching is not None:
            tasks.append(self._reaching)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _disconnect(self._pool)
        self._sparing.close()

    async def _within(self, commands: Sequence[Command], patience_seconds: float) -> list[Any]:
        # A task of its own, not wait_for: that one swallows a cancellation which meets the answer (until Python
        # 3.12), and the claim loop would miss that it is to end.
        task = asyncio.create_task(_exchange(self._pool, commands))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        task.add_done_callback(_note_error)
        try:
            await asyncio.wait((task,), timeout=patience_seconds)
        finally:
            task.cancel()
        if not task.done():
            raise Away("it does not answer in time")
        if task.cancelled():
            raise Away("closed")
        error = task.exception()
        if error is not None:
            raise Away(reason_of(error))
        return task.result()

    async def _reach(self, *, at_once: bool) -> None:
        while True:
            if not at_once:
                await asyncio.sleep(self._pause_seconds * random.uniform(0.5, 1.0))
                self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)
            at_once = False
            try:
                await self._try(REACH_SECONDS)
            except Away as away:
                self._tell_away(str(away))
            else:
                self._came_up()
                return

    async def _try(self, patience_seconds: float) -> None:
        info, *replies = await self._within(self._probe, patience_seconds)
        version = _version(info)
        if version is not None and int(version.split(".")[0]) < OLDEST_MAJOR:
            raise Away(f"it is Redis {version}: {OLDEST_MAJOR}.0 or newer, or Valkey, is needed")
        for reply in replies:
            if isinstance(reply, Exception) and not is_wrong_type(reply):
                raise Away(reason_of(reply))

    def _came_up(self) -> None:
        self._state = _State.UP
        self._up_since = asyncio.get_running_loop().time()
        self.reason = None
        self._sparing.state("Redis tells workers what is ready", is_good=True)
        self._decide()
        self._changed(True)

    def _went_away(self, reason: str) -> None:
        if self._closed or self._state is not _State.UP:
            return
        if asyncio.get_running_loop().time() - self._up_since >= STEADY_SECONDS:
            self._pause_seconds = FIRST_PAUSE_SECONDS
        # The idle connections of the old pool are as good as lost, and who waits on one has waited enough.
        leaving = asyncio.create_task(_disconnect(self._pool))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)
        self._pool = self._address.new_pool()
        self._reaching = asyncio.create_task(self._reach(at_once=False))
        self._tell_away(reason)

    def _tell_away(self, reason: str) -> None:
        if self._closed:
            return
        was_away, self._state = self._state is _State.AWAY, _State.AWAY
        self.reason = reason
        self._sparing.state(f"Redis cannot be used, workers look for jobs by themselves: {reason}", is_good=False)
        self._decide()
        if not was_away:
            self._changed(False)

    def _decide(self) -> None:
        if self._verdict is not None and not self._verdict.done():
            self._verdict.set_result(None)


async def _exchange(pool: ConnectionPoolInterface, commands: Sequence[Command]) -> list[Any]:
    connection = await pool.get_connection()
    is_clean = False
    try:
        await connection.send_packed_command(connection.pack_commands(commands))
        replies = [await _reply(connection) for _ in commands]
        is_clean = True
        return replies
    finally:
        # A connection that still owes a reply would hand it to whoever asks next (CVE-2023-28858).
        if not is_clean:
            await connection.disconnect(nowait=True)
        await pool.release(connection)


async def _reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def _version(info: object) -> str | None:
    """``None`` where the user may not ask for it: then BLMPOP itself will tell."""
    found = (
        re.search(rb"^redis_version:(\d{1,4}(?:\.\d{1,4}){0,3})", info, re.MULTILINE)
        if isinstance(info, bytes)
        else None
    )
    return found.group(1).decode("ascii") if found else None


def _note_error(task: asyncio.Task[list[Any]]) -> None:
    """An error nobody is left to hear of is no news: asyncio would print it with what it holds."""
    if not task.cancelled():
        task.exception()


async def _disconnect(pool: ConnectionPoolInterface) -> None:
    with suppress(Exception):
        await pool.disconnect()
