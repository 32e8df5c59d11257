"""One SMTP connection: every recipient's own answer, and the one moment named in which nobody can know.

aiosmtplib opens it, encrypts it and logs in. Transactions are spoken here: in rows of commands where the server takes
them (RFC 2920), so that a message costs two waits; and so that a connection that broke before the final dot (nothing
was sent) is told from one that broke after it (perhaps it was).
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, cast

import aiosmtplib

from treadle.builtin.dialogue import Dialogue
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

Note = Callable[[], Awaitable[None]]

_BLOCK_BYTES = 64 * 1024
_DATA = "DATA"
_DOT = b".\r\n"
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

    def __init__(self, server: MailServer, dialogue: Dialogue, *, takes_rows: bool, takes_size: bool) -> None:
        """What the server offers: ``takes_rows`` of commands (PIPELINING), ``takes_size`` with MAIL (SIZE)."""
        self._server = server
        self._dialogue = dialogue
        self._takes_rows = takes_rows
        self._takes_size = takes_size
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
            await _at_once(client.connect(timeout=server.connect_seconds))
            if client.is_ehlo_or_helo_needed:
                await _hello(client)
            return cls(
                server,
                Dialogue(_transport_of(client)),
                takes_rows=client.supports_extension("pipelining"),
                takes_size=client.supports_extension("size"),
            )
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
        return self._is_clean and self._dialogue.is_open and not self._dialogue.has_reply

    async def is_alive(self, within_seconds: float) -> bool:
        """Whether the server still answers."""
        try:
            return (await self._command("NOOP", within_seconds=within_seconds)).is_yes
        except MailServerUnavailable:
            return False

    async def begin(self, size_bytes: int, recipients: Sequence[str]) -> Delivery:
        """Open a transaction. Whom of ``recipients`` the server takes; ``deliver`` is next if there is anybody.

        Raises ``MailServerUnavailable``, ``MailServerRefused``. Nobody has got anything, however it ends.
        """
        # RFC 1870: what is too large for it, the server refuses before it has got it.
        size = f" SIZE={size_bytes}" if self._takes_size else ""
        commands = [
            f"MAIL FROM:<{self._server.sender}>{size}", *[f"RCPT TO:<{address}>" for address in recipients], _DATA
        ]  # fmt: skip
        self._is_clean = False
        if self._takes_rows:
            await self._send(commands, self._server.command_seconds)
        mail, *rcpts, data = commands
        reply = await self._command(mail, is_sent=self._takes_rows)
        if not reply.is_yes:
            self._is_clean = not self._takes_rows or self._takes_no_message(len(rcpts) + 1)
            raise self._refused("the sender", reply)
        replies = [await self._command(command, is_sent=self._takes_rows) for command in rcpts]
        delivery = _delivery_to(recipients, replies)
        if not delivery.accepted:
            if not self._takes_rows or self._takes_no_message(1):
                await self._reset()
            return delivery
        reply = await self._command(data, expected=_GO_AHEAD, is_sent=self._takes_rows)
        if reply.code != _GO_AHEAD:
            await self._reset()
            raise self._refused("the message", reply)
        return delivery

    async def deliver(self, message: bytes, last_look: Callable[[], None], note: Note | None) -> None:
        """Send ``message`` (CRLF lines) to those whom the server took.

        The last thing before the final dot is to await ``note``, or to call ``last_look`` where there is none; what
        they raise passes through, and nobody gets anything. Raises ``MailServerUnavailable``, ``MailServerRefused``,
        ``AnswerLost``.
        """
        content = message.replace(b"\r\n.", b"\r\n..")  # RFC 5321 4.5.2
        if note is None and len(content) <= _BLOCK_BYTES:
            reply = await self._send_whole(content, last_look)
        else:
            reply = await self._send_in_blocks(memoryview(content), last_look, note)
        self._is_clean = True
        if not reply.is_yes:
            raise self._refused("the message", reply)

    async def say_goodbye(self) -> None:
        """QUIT and close; never raises, and waits 2 s at most."""
        await self._send(["QUIT"], _GOODBYE_SECONDS)
        self.close()

    def close(self) -> None:
        """Close at once."""
        self._dialogue.close()

    # ------------------------------------------------------------------------------------- commands

    async def _send(self, commands: Sequence[str], within_seconds: float) -> None:
        """Write them in one row, and wait for as many replies, or for the end of the connection."""
        if not all(map(str.isprintable, commands)):
            raise ValueError("an SMTP command would hold a control character")
        self._dialogue.write("".join([f"{command}\r\n" for command in commands]).encode("ascii"))
        await self._dialogue.replies(len(commands), within_seconds)

    async def _command(
        self, command: str, *, expected: int | None = None, within_seconds: float | None = None, is_sent: bool = False
    ) -> Reply:
        """A command's answer: a yes, a later or a never, or ``expected``. ``is_sent``: in a row, already."""
        if not is_sent:
            await self._send([command], within_seconds or self._server.command_seconds)
        verb = command.partition(" ")[0]
        reply = self._dialogue.take()
        if reply is None:
            raise self._broken(f"after {verb}: {self._dialogue.why}")
        if reply.is_last:
            raise self._broken(f"at {verb}: {reply}")
        is_answer = reply.code == expected or (expected is None and reply.is_yes) or reply.is_later or reply.is_never
        if not is_answer:
            raise self._broken(f"with no answer to {verb}: {reply}")
        return reply

    def _takes_no_message(self, left: int) -> bool:
        """Whether a row of which nothing came has ended, with ``left`` more replies, and DATA was refused as well."""
        replies = [self._dialogue.take() for _ in range(left)]
        # A server that says "go ahead" all the same waits for a dot (RFC 2920 3.1). It gets none: who knows what it
        # would make of an empty message? The connection is not used again.
        return replies[-1] is not None and replies[-1].code != _GO_AHEAD

    async def _reset(self) -> None:
        try:
            self._is_clean = (await self._command("RSET")).is_yes
        except MailServerUnavailable:
            self._is_clean = False

    # -------------------------------------------------------------------------------------- content

    async def _send_whole(self, content: bytes, last_look: Callable[[], None]) -> Reply:
        """In one piece with its dot."""
        last_look()
        if self._is_answered_early:
            return self._early_reply()
        self._dialogue.write(content + _DOT)
        return await self._final_reply()

    async def _send_in_blocks(self, content: memoryview, last_look: Callable[[], None], note: Note | None) -> Reply:
        """All but the dot is handed to the network, block by block, before anybody is asked about the dot."""
        for start in range(0, len(content), _BLOCK_BYTES):
            if self._is_answered_early:
                return self._early_reply()
            self._dialogue.write(content[start : start + _BLOCK_BYTES])
            await self._dialogue.room(self._server.command_seconds)
        if not self._is_answered_early:
            if note is not None:
                await note()
            else:
                last_look()
        if self._is_answered_early:
            return self._early_reply()
        self._dialogue.write(_DOT)
        return await self._final_reply()

    @property
    def _is_answered_early(self) -> bool:
        return self._dialogue.has_reply or not self._dialogue.is_open

    def _early_reply(self) -> Reply:
        """The answer of a server that did not wait for the dot, which was not sent."""
        reply = self._dialogue.take()
        if reply is not None and reply.is_never:
            self.close()
            return reply
        raise self._broken(f"within the message: {reply or self._dialogue.why}")

    async def _final_reply(self) -> Reply:
        await self._dialogue.replies(1, self._server.final_dot_seconds)
        reply = self._dialogue.take()
        if reply is not None and (reply.is_yes or reply.is_later or reply.is_never):
            return reply
        self.close()
        raise AnswerLost(
            f"the mail server at {self._server.where} was sent the whole message and gave no answer to it "
            f"({reply or self._dialogue.why}), so it may have been delivered or not"
        )

    def _refused(self, what: str, reply: Reply) -> MailServerRefused:
        return MailServerRefused(f"the mail server at {self._server.where} refused {what}", reply)

    def _broken(self, how: str) -> MailServerUnavailable:
        self.close()
        return MailServerUnavailable(f"the mail server at {self._server.where} broke off {how}; nobody got the message")


def _delivery_to(recipients: Sequence[str], replies: Sequence[Reply]) -> Delivery:
    answers = dict(zip(recipients, replies, strict=True))
    return Delivery(
        tuple(address for address, reply in answers.items() if reply.is_yes),
        {address: reply for address, reply in answers.items() if reply.is_later},
        {address: reply for address, reply in answers.items() if reply.is_never},
    )


async def _at_once(work: Coroutine[Any, Any, object]) -> None:
    """Await ``work``; a cancellation ends the wait in any case. The library waits with ``wait_for``, which swallows one
    that meets what it waits for (until Python 3.12): a job that is cancelled just then would go on for its timeout."""
    task = asyncio.create_task(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be left to hear of it
    try:
        await asyncio.wait((task,))
    finally:
        task.cancel()
    task.result()


async def _hello(client: aiosmtplib.SMTP) -> None:
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError:
        if not client.is_connected:
            raise
        await client.helo()


def _transport_of(client: aiosmtplib.SMTP) -> asyncio.Transport:
    if client.transport is None:
        raise aiosmtplib.SMTPServerDisconnected("Connection lost")
    return cast(asyncio.Transport, client.transport)


def _own_name() -> str:
    # As Nodemailer does it: a name with a dot, or an address. No DNS, which can take longer than the whole mail.
    name = socket.gethostname()
    return name if _HOST_NAME.fullmatch(name) else "[127.0.0.1]"
