"""The SMTP side: takes every message for anybody and puts it into the box, byte for byte.

The protocol's commands are aiosmtpd's; DATA is read here, because aiosmtpd's keeps an object per line
(64 MiB of blank lines would take gigabytes) and refuses lines that mail servers accept.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import cast

from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as SmtpEnvelope

from treadle.clock import wall_now
from treadle.mailbox.box import Box, MessageTooLarge
from treadle.mailbox.message import Envelope, receive

MAX_CONNECTIONS = 100
"""Open at once. Postfix serves one client on 50 (smtpd_client_connection_count_limit); this is all clients."""
IDLE_SECONDS = 300.0
"""Without a complete command, and for one whole DATA: what RFC 5321 (4.5.3.2) asks servers to grant."""
MAX_RECIPIENTS = 1_000
"""Of one message. RFC 5321 (4.5.3.1.8) asks for 100; this is Postfix's smtpd_recipient_limit."""
_COMMAND_BYTES = 512
"""RFC 5321, 4.5.3.1.4; extensions add to MAIL."""
_READ_BYTES = 64 * 1024
"""Read at once. Not a limit on lines: those are as long as the message may be."""

TOO_LARGE = "552 5.3.4 Message is larger than this mailbox may be"
_DOT = b".\r\n"
_END = b"\r\n.\r\n"

log = logging.getLogger(__name__)


class Reception:
    """What all connections of one server share: the box, the limits, and who is here."""

    def __init__(
        self,
        box: Box,
        *,
        max_connections: int = MAX_CONNECTIONS,
        idle_seconds: float = IDLE_SECONDS,
        now: Callable[[], datetime] = wall_now,
    ) -> None:
        self.box = box
        self.max_connections = max_connections
        self.idle_seconds = idle_seconds
        self.now = now
        self.present: set[Conversation] = set()

    def converse(self) -> Conversation:
        """A protocol for one more connection: the factory for ``loop.create_server``."""
        return Conversation(self)

    def dismiss(self) -> None:
        """Cut every open connection. A message whose end was not acknowledged is not in the box."""
        for conversation in tuple(self.present):
            conversation.cut()


class Conversation(SMTP):
    """One connection."""

    line_length_limit = _READ_BYTES

    def __init__(self, reception: Reception) -> None:
        # Of the instance: aiosmtpd raises the limits of the class at each EHLO and clears them, for
        # all connections, at each new one.
        self.command_size_limits = defaultdict(lambda: _COMMAND_BYTES)
        super().__init__(
            _Delivery(reception),
            data_size_limit=reception.box.max_bytes,
            enable_SMTPUTF8=True,
            hostname="treadle-mailbox",  # its default asks the name server, on the event loop
            ident="Treadle mailbox (for development: nothing leaves it)",
            timeout=reception.idle_seconds,
            loop=asyncio.get_running_loop(),
        )
        self._reception = reception

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Welcome a client, or turn it away where the house is full."""
        if len(self._reception.present) >= self._reception.max_connections:
            _turn_away(cast(asyncio.Transport, transport))
            return
        self._reception.present.add(self)
        super().connection_made(transport)
        if self._handler_coroutine is not None:
            # A client that resets the connection ends the task with that error, and asyncio would
            # report it with a traceback. It is no news to anybody.
            self._handler_coroutine.add_done_callback(_hear)

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone."""
        self._reception.present.discard(self)
        super().connection_lost(error)

    def cut(self) -> None:
        """End the connection without another word."""
        if self.transport is not None:
            cast(asyncio.Transport, self.transport).abort()

    async def smtp_AUTH(self, arg: str) -> None:
        """No logins: a password has no business here."""
        await self.push("502 5.5.1 AUTH is not offered: this mailbox takes mail without a login")

    async def smtp_DATA(self, arg: str | None) -> None:
        """Take one message."""
        if await self.check_helo_needed():
            return
        if self.envelope is None or not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 Error: need RCPT command")
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        raw = await self._read_data(self._reception.box.max_bytes)
        if raw is None:
            status = TOO_LARGE
        else:
            self.envelope.content = raw
            status = str(await self._call_handler_hook("DATA"))
        self.envelope = self._create_envelope()
        await self.push(status)

    async def _read_data(self, max_bytes: int) -> bytes | None:
        """Everything before the final dot, dots unstuffed (RFC 5321, 4.5.2); ``None`` if it is too large.

        Reads from dot to dot, so that the end is always the end of what was read. Only CRLF ends a line:
        taking bare line feeds too is how messages are smuggled.
        """
        data = bytearray()
        too_large = False
        while True:
            try:
                data += await self._reader.readuntil(_DOT)
                if data == _DOT or data.endswith(_END):
                    break
            except asyncio.LimitOverrunError as overrun:
                data += await self._reader.read(overrun.consumed)
            if len(data) > max_bytes + len(_END):
                too_large = True
            if too_large:
                # It is read to its end all the same: a client that is cut off tries again.
                del data[: -len(_END)]
        if too_large:
            return None
        del data[-len(_DOT) :]
        if data.startswith(b"."):
            del data[0]
        return bytes(data.replace(b"\r\n.", b"\r\n"))


class _Delivery:
    """aiosmtpd's hooks: what a command means here."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    async def handle_RCPT(
        self,
        server: SMTP,
        session: Session,
        envelope: SmtpEnvelope,
        address: str,
        options: list[str],
    ) -> str:
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: SmtpEnvelope) -> str:
        sender = envelope.mail_from or ""
        message = receive(
            cast(bytes, envelope.content),
            Envelope(
                helo=session.host_name or "",
                sender="" if sender == "<>" else sender,  # aiosmtpd's spelling of the null sender
                recipients=tuple(envelope.rcpt_tos),
            ),
            self._reception.now(),
        )
        try:
            self._reception.box.add(message)
        except MessageTooLarge:
            return TOO_LARGE
        return f"250 2.0.0 OK: kept as {message.id}"

    async def handle_exception(self, error: Exception) -> str:
        # aiosmtpd's address parser raises many things for arguments that are none.
        log.warning("a command was refused: %s", type(error).__name__)
        return "500 5.5.2 Command not understood"


def _turn_away(transport: asyncio.Transport) -> None:
    transport.set_protocol(asyncio.Protocol())
    transport.write(b"421 4.7.0 Too many connections, try again later\r\n")
    transport.close()


def _hear(conversation: asyncio.Task[None]) -> None:
    """Look at how a task ended, so that asyncio does not say that nobody did."""
    if not conversation.cancelled():
        conversation.exception()


async def start_smtp(
    box: Box,
    *,
    sock: socket.socket | None = None,
    host: str = "127.0.0.1",
    port: int = 1025,
    reception: Reception | None = None,
) -> asyncio.Server:
    """Listen on the running loop: on ``sock`` (bound, and owned by the server from now on) or on host and port.

    A ``reception`` lets the caller set limits and dismiss clients. Raises ``OSError`` where the address
    is not to be had.
    """
    # aiosmtpd tells each command at INFO: mail addresses, in a log that nobody asked for.
    chatter = logging.getLogger("mail.log")
    if chatter.level == logging.NOTSET:
        chatter.setLevel(logging.ERROR)
    converse = (reception or Reception(box)).converse
    loop = asyncio.get_running_loop()
    if sock is not None:
        return await loop.create_server(converse, sock=sock)
    return await loop.create_server(converse, host, port)
