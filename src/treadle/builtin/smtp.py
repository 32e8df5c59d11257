"""One SMTP connection: every recipient's own answer, and the one moment named in which nobody can know.

aiosmtplib speaks the protocol; the content is sent here, because its ``data()`` cannot tell a connection that broke
before the final dot (nothing was sent) from one that broke after it (perhaps it was).
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import cast

import aiosmtplib

from treadle.builtin.mail_server import MailServer
from treadle.builtin.reply import (
    AnswerLost,
    MailServerRefused,
    MailServerUnavailable,
    Reply,
    advice_for,
    reply_of,
    why_of,
)

BeforeDot = Callable[[Sequence[str]], Awaitable[None]]

_BLOCK_BYTES = 64 * 1024
_CLOSING = 421
_GO_AHEAD = 354
_GOODBYE_SECONDS = 2.0
_HOST_NAME = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of each recipient of one transaction."""

    accepted: tuple[str, ...]
    deferred: dict[str, Reply]
    refused: dict[str, Reply]


class Connection:
    """An open session. One transaction at a time: ``begin``, then ``deliver``."""

    def __init__(self, server: MailServer, client: aiosmtplib.SMTP, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._client = client
        self._writer = writer
        self._is_clean = True
        self.was_used = False
        self.idle_since = 0.0

    @classmethod
    async def open(cls, server: MailServer) -> Connection:
        """Connect, encrypt and log in as ``server`` says. Raises ``MailServerUnavailable``, ``MailServerRefused``."""
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            timeout=server.command_seconds,
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
            tls_context=server.tls_context,
            username=server.username,
            password=server.password,
            local_hostname=_own_name(),
        )
        try:
            await client.connect(timeout=server.connect_seconds)
            if client.is_ehlo_or_helo_needed:
                await _hello(client)
            return cls(server, client, _writer_of(client))
        except aiosmtplib.SMTPAuthenticationError as error:
            client.close()
            advice = "check TREADLE_MAIL_USERNAME and TREADLE_MAIL_PASSWORD"
            raise MailServerRefused(
                f"the mail server at {server.where} refused the login ({advice})", reply_of(error)
            ) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            client.close()
            if isinstance(error, aiosmtplib.SMTPResponseException) and reply_of(error).is_never:
                raise MailServerRefused(f"the mail server at {server.where} refused us", reply_of(error)) from error
            raise MailServerUnavailable(
                f"cannot connect to the mail server at {server.where}: {why_of(error)}; {advice_for(error)}"
            ) from error
        except BaseException:
            client.close()
            raise

    @property
    def is_reusable(self) -> bool:
        """Whether another transaction can begin on it, as far as one can see from here."""
        return self._is_clean and self._client.is_connected

    async def is_alive(self, within_seconds: float) -> bool:
        """Whether the server still answers."""
        try:
            return (await self._command("NOOP", within_seconds=within_seconds)).is_yes
        except MailServerUnavailable:
            return False

    async def begin(self, size_bytes: int) -> None:
        """Open a transaction. Raises ``MailServerUnavailable``, ``MailServerRefused``."""
        sender = f"FROM:<{self._server.sender}>"
        # RFC 1870: what is too large for it, the server refuses before it has got it.
        size = (f"SIZE={size_bytes}",) if self._client.supports_extension("size") else ()
        reply = await self._command("MAIL", sender, *size)
        if not reply.is_yes:
            raise MailServerRefused(f"the mail server at {self._server.where} refused the sender", reply)
        self._is_clean = False

    async def deliver(self, recipients: Sequence[str], message: bytes, before_dot: BeforeDot) -> Delivery:
        """Send ``message`` (CRLF lines) to those of ``recipients`` whom the server takes.

        ``before_dot`` is awaited with these when all but the final dot is sent; what it raises passes through, and
        nobody gets anything. Raises ``MailServerUnavailable``, ``MailServerRefused``, ``AnswerLost``.
        """
        replies = {address: await self._command("RCPT", f"TO:<{address}>") for address in recipients}
        delivery = Delivery(
            tuple(address for address, reply in replies.items() if reply.is_yes),
            {address: reply for address, reply in replies.items() if reply.is_later},
            {address: reply for address, reply in replies.items() if reply.is_never},
        )
        if not delivery.accepted:
            await self._reset()
            return delivery
        reply = await self._command("DATA", expected=_GO_AHEAD)
        if reply.code != _GO_AHEAD:
            await self._reset()
            raise MailServerRefused(f"the mail server at {self._server.where} refused the message", reply)
        reply = await self._send_content(message, lambda: before_dot(delivery.accepted))
        if not reply.is_yes:
            self._is_clean = reply.code != _CLOSING
            raise MailServerRefused(f"the mail server at {self._server.where} refused the message", reply)
        self._is_clean = True
        return delivery

    async def say_goodbye(self) -> None:
        """QUIT and close; never raises, and waits 2 s at most."""
        try:
            await self._client.quit(timeout=_GOODBYE_SECONDS)
        except (aiosmtplib.SMTPException, OSError):
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Close at once."""
        self._client.close()

    async def _command(self, *words: str, expected: int | None = None, within_seconds: float | None = None) -> Reply:
        """A command's answer: a yes, a later or a never, or ``expected``."""
        try:
            answer = await self._client.execute_command(
                *(word.encode("ascii") for word in words), timeout=within_seconds or self._server.command_seconds
            )
            reply = reply_of(answer)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise self._broken(f"after {words[0]}: {why_of(error)}") from error
        if reply.code == _CLOSING:
            raise self._broken(f"at {words[0]}: {reply}")
        is_answer = reply.code == expected or (expected is None and reply.is_yes) or reply.is_later or reply.is_never
        if not is_answer:
            raise self._broken(f"with no answer to {words[0]}: {reply}")
        return reply

    async def _reset(self) -> None:
        try:
            self._is_clean = (await self._command("RSET")).is_yes
        except MailServerUnavailable:
            self._is_clean = False

    async def _send_content(self, message: bytes, before_dot: Callable[[], Awaitable[None]]) -> Reply:
        protocol = self._client.protocol
        if protocol is None:
            raise self._broken("after DATA")
        # Listening before anything is written: a server may refuse in the midst of it, and aiosmtplib drops what
        # arrives while nobody reads.
        answer = asyncio.create_task(protocol.read_response())
        try:
            await self._write_content(message, answer)
            if not answer.done():
                await before_dot()
            if answer.done() or not self._client.is_connected:
                return await self._early_reply(answer)
            self._writer.write(b".\r\n")
            return await self._final_reply(answer)
        finally:
            if not answer.done():
                answer.cancel()
            elif not answer.cancelled():
                answer.exception()  # somebody has to look, or the loop complains

    async def _write_content(self, message: bytes, answer: asyncio.Task[aiosmtplib.SMTPResponse]) -> None:
        """Everything up to the dot, handed to the network block by block (RFC 5321 4.5.2: leading dots doubled)."""
        content = memoryview(message.replace(b"\r\n.", b"\r\n.."))
        try:
            for start in range(0, len(content), _BLOCK_BYTES):
                if answer.done():
                    return
                self._writer.write(content[start : start + _BLOCK_BYTES])
                async with asyncio.timeout(self._server.command_seconds):
                    await self._writer.drain()
        except OSError as error:
            raise self._broken(f"within the message: {why_of(error)}") from error

    async def _early_reply(self, answer: asyncio.Task[aiosmtplib.SMTPResponse]) -> Reply:
        """The answer of a server that did not wait for the dot, which was not sent."""
        try:
            reply = reply_of(await answer)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise self._broken(f"within the message: {why_of(error)}") from error
        if reply.is_never:
            self.close()
            return reply
        raise self._broken(f"within the message: {reply}")

    async def _final_reply(self, answer: asyncio.Task[aiosmtplib.SMTPResponse]) -> Reply:
        seconds = self._server.final_dot_seconds
        why = f"no answer within {seconds:g} s"
        done, _ = await asyncio.wait((answer,), timeout=seconds)
        if done:
            try:
                reply = reply_of(await answer)
                if reply.is_yes or reply.is_later or reply.is_never:
                    return reply
                why = str(reply)
            except (aiosmtplib.SMTPException, OSError) as error:
                why = why_of(error)
        self.close()
        raise AnswerLost(
            f"the mail server at {self._server.where} was sent the whole message and gave no answer to it ({why}), "
            "so it may have been delivered or not"
        )

    def _broken(self, how: str) -> MailServerUnavailable:
        self.close()
        return MailServerUnavailable(f"the mail server at {self._server.where} broke off {how}; nobody got the message")


async def _hello(client: aiosmtplib.SMTP) -> None:
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError:
        if not client.is_connected:
            raise
        await client.helo()


def _writer_of(client: aiosmtplib.SMTP) -> asyncio.StreamWriter:
    """aiosmtplib's protocol waits for room as a ``StreamWriter`` wants it, and offers no way of its own."""
    transport, protocol = cast(asyncio.WriteTransport | None, client.transport), client.protocol
    if transport is None or protocol is None:
        raise aiosmtplib.SMTPServerDisconnected("Connection lost")
    # Room is when nothing is left: a cut while a part of the message is still here is a cut before the dot.
    transport.set_write_buffer_limits(high=0)
    return asyncio.StreamWriter(transport, protocol, None, asyncio.get_running_loop())


def _own_name() -> str:
    # As Nodemailer does it: a name with a dot, or an address. No DNS, which can take longer than the whole mail.
    name = socket.gethostname()
    return name if _HOST_NAME.fullmatch(name) else "[127.0.0.1]"
