"""Mail servers for tests: a well-behaved one that keeps what it gets, and one that follows a script to the byte."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from tests.waiting import eventually

CERTIFICATE = Path(__file__).with_name("loopback.pem")

PIPELINING = "250-sink.example.com\r\n250 PIPELINING"
"""An answer to EHLO: commands may come in a row (RFC 2920)."""

CUT = "cut"
"""Instead of an answer: reset the connection."""

HANG_UP = "hang up"
"""Instead of an answer: close the connection in an orderly way."""

SILENCE = "silence"
"""Instead of an answer: none."""


@dataclass
class Kept:
    """One message as it arrived, dots already undone."""

    recipients: list[str]
    content: bytes


@dataclass
class Sink:
    """aiosmtpd, and what came to it. ``refusals``: answers to RCPT by address; ``at_dot``: answers to messages."""

    port: int = 0
    sessions: int = 0
    is_encrypted: list[bool] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)
    at_dot: list[str] = field(default_factory=list)

    def copies(self, address: str) -> int:
        """How many messages this recipient got."""
        return sum(kept.recipients.count(address) for kept in self.kept)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        answer = self.at_dot.pop(0) if self.at_dot else "250 kept"
        if answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            self.kept.append(Kept(list(envelope.rcpt_tos), envelope.content))
            assert server.transport is not None
            self.is_encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        return answer

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"right", handled=False)


def a_server_context() -> ssl.SSLContext:
    """With the certificate that only tests trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


@asynccontextmanager
async def a_sink(*, starttls: bool = False, tls: bool = False, login: bool = False) -> AsyncIterator[Sink]:
    """A listening ``Sink``."""
    sink = Sink()
    loop = asyncio.get_running_loop()

    def session() -> SMTP:
        sink.sessions += 1
        return SMTP(
            sink,
            hostname="sink.example.com",
            loop=loop,
            tls_context=a_server_context() if starttls else None,
            require_starttls=starttls,
            auth_required=login,
            auth_require_tls=starttls,
            authenticator=sink.authenticate if login else None,
        )

    server = await loop.create_server(session, "127.0.0.1", 0, ssl=a_server_context() if tls else None)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()


Script = dict[str, str]


@dataclass
class RawSink:
    """Answers "yes" to everything but what the connection's script says.

    A script maps a step to an answer: ``greeting``, a verb, ``RCPT <address>``, ``content`` (the first byte of the
    message has arrived), ``.`` (all of it has). Each is used once. One script a connection, then none.
    """

    scripts: list[Script]
    port: int = 0
    sessions: int = 0
    ended: int = 0
    lines: list[bytes] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    """What came after each DATA, final dot included, exactly as sent."""
    accepted: list[list[str]] = field(default_factory=list)
    """The recipients of each message that was taken, whether or not the client was told."""
    cuts: list[str] = field(default_factory=list)
    """The steps at which a connection was cut within a message."""
    next_mail: str | None = None
    """The answer to the next MAIL, whatever the script says."""
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def verbs(self) -> list[str]:
        """All commands in the order they came."""
        return [line.split()[0].decode() for line in self.lines]

    def hang_up_all(self) -> None:
        """Close every connection from this side."""
        for writer in self._writers:
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._writers.append(writer)
        script = self.scripts.pop(0) if self.scripts else {}
        self.sessions += 1
        try:
            await self._converse(script, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.ended += 1
            writer.close()

    async def _converse(self, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        recipients: list[str] = []
        await self._answer(script.get("greeting", "220 sink.example.com"), writer)
        while line := await reader.readline():
            self.lines.append(line)
            verb = line.split()[0].decode().upper()
            address = line.decode("latin-1").partition("<")[2].partition(">")[0]
            usual = {"DATA": "354 go ahead", "QUIT": "221 bye"}.get(verb, "250 OK")
            answer = script.pop(f"{verb} {address}", None) or script.pop(verb, usual)
            if verb == "MAIL" and self.next_mail is not None:
                answer, self.next_mail = self.next_mail, None
            await self._answer(answer, writer)
            if verb == "QUIT":
                return
            if verb == "MAIL":
                recipients = []
            elif verb == "RCPT" and answer.startswith("250"):
                recipients.append(address)
            elif answer.startswith("354"):
                await self._take(script, recipients, reader, writer)

    async def _take(
        self, script: Script, recipients: list[str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        first = await reader.readexactly(1)
        if "content" in script:
            self.cuts.append("content")
            await self._answer(script.pop("content"), writer)
        self.contents.append(first + await reader.readuntil(b"\r\n.\r\n"))
        answer = script.pop(".", "250 kept")
        if not answer.startswith(("4", "5")):
            self.accepted.append(recipients)
        await self._answer(answer, writer)

    async def _answer(self, answer: str, writer: asyncio.StreamWriter) -> None:
        if answer == CUT:
            writer.transport.abort()
            raise ConnectionResetError
        if answer == HANG_UP:
            raise ConnectionResetError
        if answer != SILENCE:
            writer.write(answer.encode("latin-1") + b"\r\n")
            await writer.drain()


@asynccontextmanager
async def a_raw_sink(*scripts: Script) -> AsyncIterator[RawSink]:
    """A listening ``RawSink``."""
    sink = RawSink(list(scripts))
    server = await asyncio.start_server(sink.serve, "127.0.0.1", 0, limit=1 << 23)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()
        sink.hang_up_all()
        await eventually(lambda: sink.ended == sink.sessions)
