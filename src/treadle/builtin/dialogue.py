"""What goes over an open SMTP connection: bytes out, replies in, any number of either at once; one timer for all waits.

A library opened it (``smtp``). It is left there, because aiosmtplib wants every command answered before the next one,
and each answer cost it a timer, a lock and a future.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from treadle.builtin.reply import Reply, printable, why_of

_MAX_REPLY_BYTES = 32 * 1024
"""A large answer to EHLO has a few."""

_MAX_UNREAD = 256
"""Replies that nobody asked for: who sends so many is no mail server."""


class Dialogue(asyncio.Protocol):
    """A transport's protocol from now on. Belongs to the loop it is made on, and to one task at a time."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._text = b""
        self._lines: list[bytes] = []
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._is_met: Callable[[], bool] = _never
        self._patience_seconds = 0.0
        self._due_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.why = ""
        """Why it is over, in a few words; empty while it is not."""
        # Room is when nothing is left: a cut while a part of the message is still here is a cut before the dot.
        transport.set_write_buffer_limits(high=0)
        transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        """Whether it can go on, as far as one can see from here."""
        return not self.why and not self._transport.is_closing()

    @property
    def has_reply(self) -> bool:
        """Whether there is a reply that was not taken yet."""
        return bool(self._replies)

    def take(self) -> Reply | None:
        """The next reply, if there is one."""
        return self._replies.popleft() if self._replies else None

    def write(self, data: bytes | memoryview) -> None:
        """Send, at once where the network has room. Nothing is sent on a connection that is over."""
        if self.is_open:
            self._transport.write(data)

    async def replies(self, count: int, within_seconds: float) -> None:
        """Return when ``count`` replies can be taken, or when it is over: after ``within_seconds`` without any, too."""
        replies = self._replies
        if len(replies) < count and not self.why:
            await self._until(lambda: len(replies) >= count, within_seconds)

    async def room(self, within_seconds: float) -> None:
        """Return when all is handed to the network, or there is a reply, or it is over."""
        if not self._has_room_or_reply() and not self.why:
            await self._until(self._has_room_or_reply, within_seconds)

    def close(self) -> None:
        """Close at once; what was not handed to the network yet never is."""
        self._end("closed")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._transport.abort()

    # ------------------------------------------------------------------------------------- waiting

    def _has_room_or_reply(self) -> bool:
        return bool(self._replies) or not self._transport.get_write_buffer_size()

    async def _until(self, is_met: Callable[[], bool], within_seconds: float) -> None:
        self._patience_seconds = within_seconds
        self._due_at = self._loop.time() + within_seconds
        if self._timer is None or self._timer.when() > self._due_at:
            self._look_at(self._due_at)
        self._is_met = is_met
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _look_at(self, due_at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due_at, self._look)

    def _look(self) -> None:
        # One timer that is set again when it goes off, not one for each wait: nearly all of them end long before.
        self._timer = None
        if self._waiter is None:
            return
        if self._loop.time() < self._due_at:
            self._look_at(self._due_at)
        else:
            self._end(f"no answer within {self._patience_seconds:g} s")

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done() and (self.why or self._is_met()):
            self._waiter.set_result(None)

    def _end(self, why: str) -> None:
        self.why = self.why or why
        self._wake()

    # ------------------------------------------------------------------------- called by the transport

    def data_received(self, data: bytes) -> None:
        """See ``asyncio.Protocol``."""
        if self.why:
            return
        *lines, self._text = (self._text + data).split(b"\n")
        for line in lines:
            self._lines.append(line)
            if not line[:3].isdigit():
                self._end(f"no SMTP reply: {printable(line)}")
                return
            if line[3:4] != b"-":
                reply = _reply_of(self._lines)
                self._replies.append(reply)
                self._lines = []
                if reply.is_last:
                    self._end(str(reply))
                    return
        if len(self._text) + sum(map(len, self._lines)) > _MAX_REPLY_BYTES or len(self._replies) > _MAX_UNREAD:
            self._end("it says too much")
        if lines:
            self._due_at = self._loop.time() + self._patience_seconds
            self._wake()

    def eof_received(self) -> None:
        """See ``asyncio.Protocol``."""
        self._end("it hung up")

    def connection_lost(self, exc: Exception | None) -> None:
        """See ``asyncio.Protocol``."""
        self._end("connection lost" if exc is None else why_of(exc))

    def resume_writing(self) -> None:
        """See ``asyncio.Protocol``."""
        self._wake()


def _never() -> bool:
    return False


def _reply_of(lines: list[bytes]) -> Reply:
    return Reply(int(lines[-1][:3]), printable(b"\n".join(line[4:].strip() for line in lines)))
