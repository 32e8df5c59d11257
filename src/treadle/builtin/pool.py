"""Connections to one mail server, used again by the next job; nothing is opened before it is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from treadle.builtin.mail_server import MailServer
from treadle.builtin.reply import MailServerUnavailable
from treadle.builtin.smtp import Connection

_TRUSTED_IDLE_SECONDS = 5.0
"""A connection that rested longer is asked before it is used; a firewall may have forgotten it meanwhile."""

_ALIVE_WITHIN_SECONDS = 5.0


class Pool:
    """At most ``server.max_connections``, all on the loop that uses it first."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._slots = asyncio.Semaphore(server.max_connections)
        self._idle: dict[Connection, asyncio.TimerHandle] = {}
        self._goodbyes: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def transaction(self, size_bytes: int) -> AsyncIterator[Connection]:
        """A connection on which a transaction has begun; kept for the next one if it ended cleanly.

        Raises ``MailServerUnavailable``, ``MailServerRefused``. Waits while all connections are in use.
        """
        async with self._slots:
            connection = await self._taken()
            try:
                try:
                    await connection.begin(size_bytes)
                except MailServerUnavailable:
                    if not connection.was_used:
                        raise
                    # Servers end a session after so many messages, or after so long, and say so only now. Nothing was
                    # sent yet; and where one was ended, those beside it have hardly fared better.
                    self._dismiss_all()
                    connection = await Connection.open(self._server)
                    await connection.begin(size_bytes)
                yield connection
            finally:
                self._put_back(connection)

    async def aclose(self) -> None:
        """Say goodbye on every idle connection; the pool can be used again afterwards."""
        self._dismiss_all()
        if self._goodbyes:
            await asyncio.wait(self._goodbyes)
        self._slots = asyncio.Semaphore(self._server.max_connections)

    async def _taken(self) -> Connection:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection, timer = self._idle.popitem()  # the one that rested least: the others may grow old and go
            timer.cancel()
            if not connection.is_reusable:
                connection.close()
                continue
            if now - connection.idle_since <= _TRUSTED_IDLE_SECONDS:
                return connection
            if await connection.is_alive(_ALIVE_WITHIN_SECONDS):
                return connection
            connection.close()
            self._dismiss_all()
        return await Connection.open(self._server)

    def _put_back(self, connection: Connection) -> None:
        if not connection.is_reusable:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        connection.was_used = True
        self._idle[connection] = loop.call_later(self._server.idle_seconds, self._dismiss, connection)

    def _dismiss(self, connection: Connection) -> None:
        self._idle.pop(connection).cancel()
        goodbye = asyncio.get_running_loop().create_task(connection.say_goodbye())
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)

    def _dismiss_all(self) -> None:
        for connection in list(self._idle):
            self._dismiss(connection)
