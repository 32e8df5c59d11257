"""What a mail server says, and the three ways in which a transaction can fail. Pure."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass

import aiosmtplib

_MAX_TEXT_CHARACTERS = 300
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer, its text on one line and of bounded length."""

    code: int
    text: str

    @property
    def is_yes(self) -> bool:
        """Done."""
        return self.code // 100 == 2

    @property
    def is_later(self) -> bool:
        """Not now: the same may be asked again."""
        return self.code // 100 == 4

    @property
    def is_never(self) -> bool:
        """Not this, however often it is asked."""
        return self.code // 100 == 5

    @property
    def is_last(self) -> bool:
        """The server closes the connection after it, whatever it was asked (RFC 5321 3.8)."""
        return self.code == 421

    def __str__(self) -> str:
        return f"{self.code} {self.text}".rstrip()


class MailServerUnavailable(Exception):
    """There is no connection, or it broke before the final dot. Nobody got the message; again is right."""


class MailServerRefused(Exception):
    """The server answered, and nobody got the message; ``reply`` says whether again is right."""

    def __init__(self, message: str, reply: Reply) -> None:
        self.reply = reply
        super().__init__(f"{message}: {reply}")


class AnswerLost(Exception):
    """The final dot was sent and no answer came: the message was taken, or it was not, and nobody can know."""


def reply_of(answer: aiosmtplib.SMTPResponse | aiosmtplib.SMTPResponseException) -> Reply:
    """An answer, fit to be stored and shown."""
    return Reply(answer.code, printable(answer.message))


def printable(said: bytes | str) -> str:
    """What a server said, on one line and of bounded length."""
    text = said.decode("utf-8", "surrogateescape") if isinstance(said, bytes) else said
    return _UNPRINTABLE.sub(" ", text)[:_MAX_TEXT_CHARACTERS]


def advice_for(error: BaseException) -> str:
    """What to look at when no connection could be made."""
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return "check its certificate, and TREADLE_MAIL_SECURITY"
    if type(error) is aiosmtplib.SMTPException:  # it answers, and offers no STARTTLS or no login
        return "check TREADLE_MAIL_SECURITY and TREADLE_MAIL_USERNAME"
    return "is it running? set MAIL_HOST and MAIL_PORT"


def why_of(error: BaseException) -> str:
    """A failure of the library or of the network in a few words."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return str(reply_of(error))
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    text = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return printable(text) or type(error).__name__
