"""How tests get mail into a mailbox: through SMTP as strangers send it, or straight into a box."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

from treadle.mailbox.box import Box
from treadle.mailbox.message import Envelope, Message, receive
from treadle.mailbox.server import Mailbox

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
SENDER = "app@example.com"
RECIPIENT = "reader@example.org"


def a_letter(
    *, subject: str = "Hello", text: str = "It works.\n", html: str | None = None, to: str = RECIPIENT
) -> bytes:
    """A message as Python's own library writes it, with CRLF."""
    letter = EmailMessage()
    letter["From"] = f"The App <{SENDER}>"
    letter["To"] = to
    letter["Subject"] = subject
    letter.set_content(text)
    if html is not None:
        letter.add_alternative(html, subtype="html")
    return letter.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def a_message(
    raw: bytes | None = None,
    *,
    sender: str = SENDER,
    recipients: Sequence[str] = (RECIPIENT,),
    minute: int = 0,
) -> Message:
    """A received message, ``minute`` minutes after noon."""
    envelope = Envelope("client.example.com", sender, tuple(recipients))
    return receive(a_letter() if raw is None else raw, envelope, NOON + timedelta(minutes=minute))


def a_box(*messages: Message, **caps: int) -> Box:
    """A box that holds ``messages``, the last one newest."""
    box = Box(**caps)
    for message in messages:
        box.add(message)
    return box


async def send(
    mailbox: Mailbox,
    raw: bytes,
    *,
    sender: str = SENDER,
    recipients: Sequence[str] = (RECIPIENT,),
    options: Sequence[str] = (),
) -> None:
    """Send through the standard library's client. Raises its ``SMTPException`` where it is refused."""

    def deliver() -> None:
        with smtplib.SMTP("127.0.0.1", mailbox.smtp_port, "client.example.com", timeout=10) as client:
            client.sendmail(sender, list(recipients), raw, mail_options=list(options))

    await asyncio.to_thread(deliver)


class Line:
    """A connection on which a test says exactly which bytes go out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def say(self, data: bytes) -> bytes:
        """Send ``data`` and return the whole answer, which may have several lines."""
        self._writer.write(data)
        await self._writer.drain()
        return await self.hear()

    async def hear(self) -> bytes:
        """One answer; empty when the server has hung up."""
        answer = b""
        while True:
            line = await asyncio.wait_for(self._reader.readline(), 10)
            answer += line
            if line[3:4] != b"-":
                return answer

    async def begin_data(self) -> None:
        """Go as far as the invitation to send the message."""
        for command in (b"EHLO client.example.com", b"MAIL FROM:<a@example.com>", b"RCPT TO:<b@example.org>"):
            assert (await self.say(command + b"\r\n")).startswith(b"250")
        assert (await self.say(b"DATA\r\n")).startswith(b"354")


@asynccontextmanager
async def a_line(mailbox: Mailbox) -> AsyncIterator[Line]:
    """A connection whose greeting has been read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", mailbox.smtp_port)
    line = Line(reader, writer)
    try:
        assert (await line.hear()).startswith(b"220 ")
        yield line
    finally:
        writer.close()
