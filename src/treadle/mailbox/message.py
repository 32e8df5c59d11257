"""One received message, and the JSON shape in which MailHog's version 2 interface shows it.

The bytes are the message; every other view is made from them when asked for, so that a full mailbox
costs what its messages weigh and not a multiple.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from treadle.mailbox.mime import Part, parse, read_headers
from treadle.mailbox.text import decode_exact, from_wire

MAX_SUMMARY_CHARACTERS = 500
"""Kept of each line of the list: a line is for telling messages apart, not for reading."""

# Senders spell them as they like, and tests read ``Headers.Subject``. Other names stay as received.
_SPELLING = {
    name.lower(): name
    for name in (
        "From",
        "To",
        "Cc",
        "Bcc",
        "Reply-To",
        "Sender",
        "Subject",
        "Date",
        "Message-ID",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
        "Content-Disposition",
    )
}


@dataclass(frozen=True, slots=True)
class Envelope:
    """What SMTP said beside the message: who greeted, who sends, who shall get it, in order of RCPT."""

    helo: str
    sender: str
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One message as received. ``raw`` is what came between DATA and the final dot, dots unstuffed."""

    id: str
    created_at: datetime
    envelope: Envelope
    raw: bytes = field(repr=False)
    subject: str
    header_from: str
    header_to: str

    @property
    def size_bytes(self) -> int:
        """What it is counted with against the mailbox's cap: the bytes and the addresses."""
        addresses = sum(map(len, self.envelope.recipients)) + len(self.envelope.sender)
        return len(self.raw) + addresses

    def parsed(self) -> Part:
        """Its MIME structure; made anew each time, costs up to a second for tens of MiB."""
        return parse(self.raw)


def receive(raw: bytes, envelope: Envelope, now: datetime) -> Message:
    """A new message with an id of its own. ``now`` is aware UTC. Never raises, whatever the bytes."""
    first: dict[str, str] = {}
    for name, value in read_headers(raw):
        first.setdefault(name.lower(), value[:MAX_SUMMARY_CHARACTERS])
    return Message(
        id=secrets.token_hex(16),
        created_at=now,
        envelope=Envelope(
            helo=from_wire(envelope.helo),
            sender=from_wire(envelope.sender),
            recipients=tuple(map(from_wire, envelope.recipients)),
        ),
        raw=raw,
        subject=first.get("subject", ""),
        header_from=first.get("from", ""),
        header_to=first.get("to", ""),
    )


def as_mailhog(message: Message) -> dict[str, Any]:
    """The shape of MailHog's code (its published schema differs), with what people read decoded.

    Decoded are the headers' encoded words and the bodies of text parts; MailHog leaves both as sent.
    ``Raw.Data`` is the message as received: UTF-8 if it is that, else one character a byte (Latin-1).
    """
    part = message.parsed()
    envelope = message.envelope
    return {
        "ID": message.id,
        "From": _path(envelope.sender),
        "To": [_path(recipient) for recipient in envelope.recipients],
        "Content": {**_content(part), "Size": len(message.raw), "MIME": None},
        "Created": rfc3339(message.created_at),
        "MIME": _mime(part),
        "Raw": {
            "From": envelope.sender,
            "To": list(envelope.recipients),
            "Data": decode_exact(message.raw),
            "Helo": envelope.helo,
        },
    }


def rfc3339(moment: datetime) -> str:
    """Milliseconds, ``Z``."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def matches(message: Message, kind: str, query: str) -> bool:
    """Whether ``query`` (case does not matter) is in what ``kind`` names.

    ``from`` and ``to``: the envelope or the header of that name. ``containing``: any header or any text,
    decoded. Another kind matches nothing.
    """
    wanted = query.casefold()
    match kind:
        case "from":
            places = [message.envelope.sender, message.header_from]
        case "to":
            places = [*message.envelope.recipients, message.header_to]
        case "containing":
            return any(wanted in place.casefold() for place in _readable(message.parsed()))
        case _:
            places = []
    return any(wanted in place.casefold() for place in places)


def _readable(part: Part) -> list[str]:
    """Every header and text of a message, decoded."""
    found = [value for _, value in part.headers]
    if part.parts is None and part.is_text:
        found.append(part.text())
    for inner in part.parts or ():
        found += _readable(inner)
    return found


def _path(address: str) -> dict[str, Any]:
    mailbox, _, domain = address.rpartition("@") if "@" in address else (address, "", "")
    return {"Relays": None, "Mailbox": mailbox, "Domain": domain, "Params": ""}


def _content(part: Part) -> dict[str, Any]:
    headers: dict[str, list[str]] = {}
    seen: dict[str, str] = {}
    for name, value in part.headers:
        lowered = name.lower()
        spelling = seen.setdefault(lowered, _SPELLING.get(lowered, name))
        headers.setdefault(spelling, []).append(value)
    return {"Headers": headers, "Body": part.text(), "Size": part.size, "MIME": _mime(part)}


def _mime(part: Part) -> dict[str, Any] | None:
    return None if part.parts is None else {"Parts": [_content(inner) for inner in part.parts]}
