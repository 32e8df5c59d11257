"""Connections to one mail server, used again by the next job; nothing is opened before it is needed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from treadle.builtin.mail_server import MailServer
from treadle.builtin.reply import MailServerUnavailable
from treadle.builtin.smtp import Connection, Delivery

_TRUSTED_IDLE_SECONDS = 5.0
"""A connection that rested longer is asked before it is used; a firewall may have forgotten it meanwhile."""

_ALIVE_WITHIN_SECONDS = 5.0


class Pool:
    """At most ``server.max_connections``, all on the loop that uses it first."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._slots = asyncio.Semaphore(server.max_connections)
        self._idle: deque[Connection] = deque()
        """Those that rested longest first."""
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._goodbyes: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def transaction(
        self, size_bytes: int, recipients: Sequence[str]
    ) -> AsyncIterator[tuple[Connection, Delivery]]:
        """A connection on which a transaction has begun, with whom the server takes; kept if it ends cleanly.

        Raises ``MailServerUnavailable``, ``MailServerRefused``. Waits while all connections are in use.
        """
        async with self._slots:
            connection = await self._taken()
            try:
                try:
                    delivery = await connection.begin(size_bytes, recipients)
                except MailServerUnavailable:
                    if not connection.was_used:
                        raise
                    # Servers end a session after so many messages, or after so long, and say so only now. Nothing was
                    # sent yet; and where one was ended, those beside it have hardly fared better.
                    self._dismiss_all()
                    connection = await Connection.open(self._server)
                    delivery = await connection.begin(size_bytes, recipients)
                yield connection, delivery
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
            connection = self._idle.pop()  # the one that rested least: the others may grow old and go
            if not connection.is_reusable:
                connection.close()
                continue
            if now - connection.idle_since <= _TRUSTED_IDLE_SECONDS:
                return connection
            try:
                is_alive = await connection.is_alive(_ALIVE_WITHIN_SECONDS)
            except asyncio.CancelledError:
                connection.close()  # it is in nobody's hands
                raise
            if is_alive:
                return connection
            connection.close()
            self._dismiss_all()
        return await Connection.open(self._server)

    def _put_back(self, connection: Connection) -> None:
        if not connection.is_reusable:
            connection.close()
            return
        connection.idle_since = asyncio.get_running_loop().time()
        connection.was_used = True
        self._idle.append(connection)
        if self._sweep_timer is None:
            self._sweep_at(connection.idle_since + self._server.idle_seconds)

    def _sweep_at(self, due_at: float) -> None:
        self._sweep_timer = asyncio.get_running_loop().call_at(due_at, self._sweep)

    def _sweep(self) -> None:
        """One timer for all: a connection is put back after each message, and hardly ever grows old."""
        self._sweep_timer = None
        oldest = asyncio.get_running_loop().time() - self._server.idle_seconds
        while self._idle and self._idle[0].idle_since <= oldest:
            self._dismiss(self._idle.popleft())
        if self._idle:
            self._sweep_at(self._idle[0].idle_since + self._server.idle_seconds)

    def _dismiss(self, connection: Connection) -> None:
        goodbye = asyncio.get_running_loop().create_task(connection.say_goodbye())
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)

    def _dismiss_all(self) -> None:
        while self._idle:
            self._dismiss(self._idle.popleft())
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
            self._sweep_timer = None
