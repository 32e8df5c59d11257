"""Delivery: connections that are used again, every recipient's own answer, and the one ambiguous moment named."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import aiosmtplib

CONNECT_SECONDS = 10.0
COMMAND_SECONDS = 60.0
FINAL_DOT_SECONDS = 600.0
"""RFC 5321 4.5.3.2.6: a shorter wait after the final dot makes second copies."""
IDLE_SECONDS = 30.0
MAX_IDLE = 8


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail goes, and from whom."""

    host: str
    port: int
    sender: str
    security: Literal["none", "starttls", "tls"] = "none"
    username: str | None = None
    password: str | None = None


class CannotDeliver(Exception):
    """Not delivered to anybody; trying again may help."""


class Refused(Exception):
    """Not delivered to anybody; the server refuses for good."""


class Ambiguous(Exception):
    """The connection broke after the final dot and before the answer: perhaps delivered."""


@dataclass(slots=True)
class Delivery:
    """What the server said of each recipient of one transaction that it took."""

    accepted: list[str] = field(default_factory=list)
    deferred: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


class Pool:
    """Idle connections of one loop; a stale one is noticed at RSET and replaced."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._idle: deque[tuple[aiosmtplib.SMTP, float]] = deque()

    async def deliver(self, to: Sequence[str], message: bytes) -> Delivery:
        """One transaction with ``message`` (dots doubled). Raises ``CannotDeliver``, ``Refused``, ``Ambiguous``."""
        client = await self._take()
        try:
            delivery = await self._transaction(client, to, message)
        except BaseException:
            client.close()
            raise
        self._give_back(client)
        return delivery

    async def aclose(self) -> None:
        """Say goodbye to every idle connection."""
        while self._idle:
            client, _ = self._idle.pop()
            try:
                await client.quit(timeout=1.0)
            except (aiosmtplib.SMTPException, OSError):
                client.close()

    async def _transaction(self, client: aiosmtplib.SMTP, to: Sequence[str], message: bytes) -> Delivery:
        delivery = Delivery()
        try:
            answer = await client.execute_command(b"MAIL", b"FROM:<%s>" % self._server.sender.encode())
            _must(answer, "MAIL FROM")
            for address in to:
                answer = await client.execute_command(b"RCPT", b"TO:<%s>" % address.encode())
                if answer.code in (250, 251):
                    delivery.accepted.append(address)
                else:
                    told = delivery.deferred if answer.code < 500 else delivery.refused
                    told[address] = f"{answer.code} {answer.message}"
            if not delivery.accepted:
                return delivery
            _must(await client.execute_command(b"DATA"), "DATA", expected=354)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise CannotDeliver(f"the mail server broke off before the message was sent: {error}") from error
        answer = await self._send_content(client, message)
        _must(answer, "the message")
        return delivery

    async def _send_content(self, client: aiosmtplib.SMTP, message: bytes) -> aiosmtplib.SMTPResponse:
        protocol = client.protocol
        if protocol is None:
            raise CannotDeliver("the mail server broke off before the message was sent")
        try:
            # The library's own DATA cannot tell a cut before the dot from one after it, and only the latter is
            # ambiguous. Written in one piece: as soon as it is handed over, the dot may have arrived.
            protocol.write(message + b".\r\n")
            return await protocol.read_response(timeout=FINAL_DOT_SECONDS)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise Ambiguous(
                f"the connection broke after the message and before the server's answer: {error}"
            ) from error

    async def _take(self) -> aiosmtplib.SMTP:
        now = asyncio.get_running_loop().time()
        while self._idle:
            client, since = self._idle.pop()
            if now - since < IDLE_SECONDS and client.is_connected:
                try:
                    await client.rset(timeout=CONNECT_SECONDS)
                except (aiosmtplib.SMTPException, OSError):
                    client.close()
                    continue
                return client
            client.close()
        return await self._connect()

    def _give_back(self, client: aiosmtplib.SMTP) -> None:
        if len(self._idle) < MAX_IDLE and client.is_connected:
            self._idle.append((client, asyncio.get_running_loop().time()))
        else:
            client.close()

    async def _connect(self) -> aiosmtplib.SMTP:
        server = self._server
        where = f"{server.host}:{server.port}"
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            timeout=CONNECT_SECONDS,
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
            username=server.username,
            password=server.password,
            local_hostname="treadle",
        )
        try:
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
        except aiosmtplib.SMTPAuthenticationError as error:
            raise Refused(
                f"the mail server at {where} refuses the login ({error.code}); set TREADLE_MAIL_USERNAME "
                "and TREADLE_MAIL_PASSWORD"
            ) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise CannotDeliver(
                f"cannot connect to the mail server at {where} ({type(error).__name__}); is it running? "
                "set MAIL_HOST and MAIL_PORT"
            ) from error
        client.timeout = COMMAND_SECONDS
        return client


def _must(answer: aiosmtplib.SMTPResponse, what: str, *, expected: int = 250) -> None:
    if answer.code == expected:
        return
    words = f"the mail server answers {what} with {answer.code} {answer.message}"
    raise (Refused if answer.code >= 500 else CannotDeliver)(words)
