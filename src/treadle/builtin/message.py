"""The message of an ``EMAIL_SEND`` job: the same bytes on every attempt, and nothing beyond seven bits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache

from treadle.builtin.header import encoded, header_line

# Whether a server takes eight bits is known after connecting, and could differ on the next attempt.
_POLICY = SMTP.clone(cte_type="7bit")

_MAX_PLAIN_LINE_BYTES = 900
"""RFC 5322 ends a line at 998; some relays break it at 990. Longer lines are encoded."""

_PLAIN_BYTES = bytes(range(0x20, 0x7F)) + b"\t\r\n"


def message_id(job_id: str, sender: str) -> str:
    """What tells copies of one job apart from other messages."""
    return f"<{job_id}@{sender.rpartition('@')[2]}>"


def build(
    *, job_id: str, created_at: datetime, sender: str, to: Sequence[str], subject: str, body: str, html: str | None
) -> bytes:
    """The message with CRLF after every line, not yet dot-stuffed. ``sender`` and ``to`` are checked addresses."""
    header = (
        ("Date", format_datetime(created_at.astimezone(UTC))),
        ("From", sender),
        ("To", ", ".join(to)),
        ("Subject", encoded(subject)),
        ("Message-ID", message_id(job_id, sender)),
        # RFC 3834: no out-of-office notes in return, please.
        ("Auto-Submitted", "auto-generated"),
    )
    head = b"".join(header_line(name, value) for name, value in header)
    if html is None and _encoding(body) == "7bit":
        return head + _plain_head() + b"\r\n".join(body.encode("ascii").splitlines()) + b"\r\n"
    content = EmailMessage(_POLICY)
    content.set_content(body, charset="utf-8", cte=_encoding(body))
    if html is not None:
        content.add_alternative(html, subtype="html", charset="utf-8", cte=_encoding(html))
        # Nobody can write it into his text: the id is made after the text was handed in.
        content.set_boundary(f"=_{job_id}")
    return head + content.as_bytes()


@cache
def _plain_head() -> bytes:
    """What the library says of a text that needs no encoding, down to the empty line: the same of every one, and with
    parsing it back and folding it three quarters of a message's time."""
    content = EmailMessage(_POLICY)
    content.set_content("", charset="utf-8", cte="7bit")
    head, end, _ = content.as_bytes().partition(b"\r\n\r\n")
    return head + end


def _encoding(text: str) -> str:
    data = text.encode("utf-8")
    special_bytes = len(data.translate(None, _PLAIN_BYTES))
    if not special_bytes and max(map(len, data.splitlines()), default=0) <= _MAX_PLAIN_LINE_BYTES:
        return "7bit"
    # Readable in its raw form where most of it is ASCII; base64 is shorter from a sixth on.
    if special_bytes * 6 <= len(data):
        return "quoted-printable"
    return "base64"
