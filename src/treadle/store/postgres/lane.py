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


class Lane:
    """Lends connections, the most recently used one first, so that an idle process keeps few of them warm.

    asyncpg's own pool is left for what it does between two users: it sends a reset, a round trip that nothing here
    needs, and it cancels what is running, which must not happen to a commit (see ``connection``).
    """

    def __init__(self, connect: Connect, size: int) -> None:
        self._connect = connect
        self._idle: list[asyncpg.Connection] = []
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
            self._idle.pop().terminate()

    async def aclose(self) -> None:
        """Say goodbye on every idle connection."""
        while self._idle:
            connection = self._idle.pop()
            try:
                await connection.close(timeout=1.0)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                connection.terminate()

    async def _take(self) -> asyncpg.Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return await self._connect()

    def _give_back(self, connection: asyncpg.Connection) -> None:
        if connection.is_closed():
            return
        if connection.is_in_transaction():
            connection.terminate()
            return
        self._idle.append(connection)
