"""The message of an EMAIL_SEND job: the same bytes on every attempt."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

_POLICY = SMTP.clone(cte_type="7bit", max_line_length=78)


def build(
    *, job_id: str, created_at: datetime, sender: str, to: Sequence[str], subject: str, body: str, html: str | None
) -> bytes:
    """The message with CRLF line ends; id, date and boundary come from the job, so that copies can be recognised."""
    message = EmailMessage(_POLICY)
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Subject"] = subject
    message["Date"] = format_datetime(created_at)
    message["Message-ID"] = f"<{job_id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body, charset="utf-8")
    if html is not None:
        message.add_alternative(html, subtype="html", charset="utf-8")
        message.set_boundary(f"=_treadle_{job_id}")
    return message.as_bytes()


def dotted(message: bytes) -> bytes:
    """``message`` ready for DATA: leading dots doubled (RFC 5321 4.5.2), ending in a line break."""
    if not message.endswith(b"\r\n"):
        message += b"\r\n"
    if message.startswith(b"."):
        message = b"." + message
    return message.replace(b"\r\n.", b"\r\n..")
