"""A lane: a bounded number of connections that are lent out one at a time, and made anew when they are lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg

from treadle.errors import Unavailable

Connect = Callable[[], Awaitable[asyncpg.Connection]]

WAIT_SECONDS = 5.0
"""How long a call waits for its turn before it says that the store is busy: others' statements take milliseconds."""

KEEP_SECONDS = 60.0
"""How long a connection is kept that nobody borrows. A start, or a burst, opens several; an idle process needs one, and
a hundred of those must not hold five hundred of the server's."""


class Lane:
    """Lends connections, the most recently used one first, so that an idle process keeps few of them warm.

    asyncpg's own pool is left for what it does between two users: it sends a reset, a round trip that nothing here
    needs, and it cancels what is running, which must not happen to a commit (see ``connection``).
    """

    def __init__(self, connect: Connect, size: int, keep_seconds: float = KEEP_SECONDS) -> None:
        self._connect = connect
        self._keep_seconds = keep_seconds
        self._idle: list[tuple[asyncpg.Connection, float]] = []
        """Each with the moment since which it is, the longest idle first."""
        self._closing: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(size)

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[asyncpg.Connection]:
        """One connection, not in a transaction. Raises ``Unavailable`` where none is to be had; nothing was sent."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            raise Unavailable("all connections to the database are busy") from None
        try:
            connection = await self._take()
            try:
                yield connection
            finally:
                self._give_back(connection)
        finally:
            self._turns.release()

    def forget(self) -> None:
        """Let go of every idle connection: one did not answer, and the others may lead to the same dead end."""
        while self._idle:
            self._idle.pop()[0].terminate()

    async def aclose(self) -> None:
        """Say goodbye on every idle connection."""
        while self._idle:
            await _close(self._idle.pop()[0])
        await asyncio.gather(*self._closing)

    async def _take(self) -> asyncpg.Connection:
        while self._idle:
            connection, _ = self._idle.pop()
            if not connection.is_closed():
                return connection
        return await self._connect()

    def _give_back(self, connection: asyncpg.Connection) -> None:
        if connection.is_closed():
            return
        if connection.is_in_transaction():
            connection.terminate()
            return
        now = asyncio.get_running_loop().time()
        self._idle.append((connection, now))
        # Whoever comes back looks after the others: no timer, and the one that is in use always stays.
        while len(self._idle) > 1 and self._idle[0][1] < now - self._keep_seconds:
            task = asyncio.create_task(_close(self._idle.pop(0)[0]))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


async def _close(connection: asyncpg.Connection) -> None:
    try:
        await connection.close(timeout=1.0)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()
