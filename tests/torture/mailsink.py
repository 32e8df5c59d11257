"""The mail server of the fault run: refuses, cuts and hangs up by the seed, and counts what it took and what it hid."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.torture.stopping import Stop

_JOB = re.compile(rb"^Message-ID: <([0-9a-f-]{36})@", re.MULTILINE)


@dataclass
class Mail:
    """What became of one job's message."""

    copies: Counter[str] = field(default_factory=Counter)
    """Messages taken, by recipient."""
    contents: set[str] = field(default_factory=set)
    """Digests of what was taken: one, or a copy differs from the first."""
    cut_after_dot: Counter[str] = field(default_factory=Counter)
    """Messages taken and not answered for, by recipient."""


@dataclass
class MailSink:
    """``mails`` by job id. What it does to a recipient depends on the seed and on how often he was tried."""

    seed: int
    port: int = 0
    mails: dict[str, Mail] = field(default_factory=dict)
    deeds: Counter[str] = field(default_factory=Counter)
    _tries: Counter[str] = field(default_factory=Counter)
    _open: Stop = field(default_factory=Stop)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._writers.add(writer)
        try:
            await self._converse(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def close(self) -> None:
        self._open.set()
        for writer in self._writers:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        recipients: list[str] = []
        await _answer(writer, "220 sink.example.com")
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"MAIL":
                recipients = []
                await _answer(writer, "250 OK")
            elif verb == b"RCPT":
                await _answer(writer, self._judge(line, recipients))
            elif verb == b"DATA":
                await _answer(writer, "354 go ahead")
                await self._take(recipients, reader, writer)
            elif verb == b"QUIT":
                await _answer(writer, "221 bye")
                return
            else:
                await _answer(writer, "250 OK")

    def _judge(self, line: bytes, recipients: list[str]) -> str:
        address = line.decode("latin-1").partition("<")[2].partition(">")[0]
        self._tries[address] += 1
        if self._chance(address, "recipient").random() < 0.015:
            self.deeds["recipient deferred"] += 1
            return "451 try again later"
        recipients.append(address)
        return "250 OK"

    def _chance(self, address: str, what: str) -> random.Random:
        return random.Random(f"{self.seed} {what} {address} {self._tries[address]}")

    async def _take(self, recipients: list[str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        deed = self._chance(recipients[0], "content").random()
        if deed < 0.02:
            await reader.readexactly(1)
            self.deeds["cut before the dot"] += 1
            raise _cut(writer)
        content = await reader.readuntil(b"\r\n.\r\n")
        if deed < 0.03:
            self.deeds["refused at the dot"] += 1
            await _answer(writer, "452 no room just now")
            return
        self._keep(recipients, content, is_cut=deed < 0.09)
        if deed < 0.06:
            raise _cut(writer)
        if deed < 0.09:
            raise ConnectionResetError  # an orderly end, and as little of an answer
        if deed > 0.94:
            # The longer the moment between the dot and the answer, the more kills land in it.
            self.deeds["answered late"] += 1
            await self._open.within(8 * (deed - 0.94))
        await _answer(writer, "250 kept")

    def _keep(self, recipients: list[str], content: bytes, *, is_cut: bool) -> None:
        found = _JOB.search(content)
        mail = self.mails.setdefault(found.group(1).decode() if found else "", Mail())
        mail.copies.update(recipients)
        mail.contents.add(hashlib.sha256(content).hexdigest())
        self.deeds["taken"] += 1
        if is_cut:
            mail.cut_after_dot.update(recipients)
            self.deeds["cut after the dot"] += 1


def _cut(writer: asyncio.StreamWriter) -> ConnectionResetError:
    writer.transport.abort()
    return ConnectionResetError()


async def _answer(writer: asyncio.StreamWriter, text: str) -> None:
    writer.write(text.encode() + b"\r\n")
    await writer.drain()


@asynccontextmanager
async def a_mail_sink(seed: int) -> AsyncIterator[MailSink]:
    """A listening one."""
    sink = MailSink(seed)
    server = await asyncio.start_server(sink.serve, "127.0.0.1", 0, limit=1 << 20)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()
        sink.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(server.wait_closed(), 5)
