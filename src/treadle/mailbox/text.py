"""How received bytes become text that JSON and HTML can carry.

Every function here is total: whatever the bytes, it returns a string without lone surrogates, and its
work grows linearly with its input, because the sender is a stranger.
"""

from __future__ import annotations

import binascii
import re
from encodings import aliases, normalize_encoding

# Only charsets that Python lists, because looking up an unknown name imports a module of that name and
# is remembered for ever, and because ``idna`` and ``punycode`` (not listed) take quadratic time. The two
# added ones are in use (Ukrainian, Thai) and have no alias in the list.
_CHARSETS = frozenset(aliases.aliases) | frozenset(aliases.aliases.values()) | {"koi8_u", "cp874"}

# Stricter than RFC 2047 in length, laxer in spaces (senders put them there). No part of it can run past
# the next question mark, so a hostile header costs linear time; the pattern of ``email.header`` does not
# have that property.
_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=")
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))


def scrub(text: str) -> str:
    """``text`` with each lone surrogate as a question mark: JSON and UTF-8 cannot carry one."""
    return text.encode("utf-8", "replace").decode("utf-8")


def from_wire(text: str) -> str:
    """An SMTP argument as text: aiosmtpd hands over bytes that are not UTF-8 as surrogate escapes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def decode_exact(raw: bytes) -> str:
    """The bytes as text from which they can be had back: UTF-8 if they are that, else one character a byte."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def decode_charset(raw: bytes, charset: str) -> str:
    """``raw`` in the charset its sender named; UTF-8 or Latin-1 where the name is missing, unknown or wrong."""
    name = normalize_encoding(charset).lower()
    if name not in _CHARSETS or name in ("ascii", "us_ascii"):
        return decode_exact(raw)
    try:
        return scrub(raw.decode(name, "replace"))
    except (LookupError, ValueError):  # listed, but for this machine's own or not a charset (hex, zip, rot13)
        return decode_exact(raw)


def decode_transfer(raw: bytes, encoding: str) -> bytes:
    """Undo a Content-Transfer-Encoding. Unknown ones, and what is broken beyond reading, stay as received."""
    match encoding.strip().lower():
        case "quoted-printable":
            return binascii.a2b_qp(raw)
        case "base64":
            return _from_base64(raw)
        case _:
            return raw


def decode_header(raw: bytes) -> str:
    """A header's value, unfolded, its RFC 2047 encoded words decoded wherever they stand.

    RFC 2047 forbids them inside quotes and addresses, and senders put them there all the same; this is
    for reading, so all are decoded.
    """
    value = decode_exact(raw.replace(b"\r", b"").replace(b"\n", b"")).strip()
    words = _Words()
    seen = 0
    for match in _ENCODED_WORD.finditer(value):
        words.plain(value[seen : match.start()])
        words.encoded(*match.groups())
        seen = match.end()
    words.plain(value[seen:])
    return scrub(words.text())


class _Words:
    """Puts a header together from plain text and encoded words.

    White space between two encoded words is dropped (RFC 2047, 6.2), and neighbours of one charset are
    decoded together: many senders cut a character in two.
    """

    def __init__(self) -> None:
        self._done: list[str] = []
        self._charset = ""
        self._bytes: list[bytes] = []

    def plain(self, text: str) -> None:
        if self._bytes and not text.strip():
            return
        self._flush()
        self._done.append(text)

    def encoded(self, charset: str, how: str, data: str) -> None:
        charset = charset.partition("*")[0].lower()  # RFC 2231 allows a language after a star
        if charset != self._charset:
            self._flush()
        self._charset = charset
        octets = data.encode("utf-8")
        if how in "qQ":
            self._bytes.append(binascii.a2b_qp(octets, header=True))
        else:
            self._bytes.append(_from_base64(octets))

    def text(self) -> str:
        self._flush()
        return "".join(self._done)

    def _flush(self) -> None:
        if self._bytes:
            self._done.append(decode_charset(b"".join(self._bytes), self._charset))
            self._bytes = []


def _from_base64(raw: bytes) -> bytes:
    # What follows the first padding is not data: some gateways append a footer there.
    digits = raw.partition(b"=")[0].translate(None, _NOT_BASE64)
    if len(digits) % 4 == 1:  # a lone digit holds no whole byte
        digits = digits[:-1]
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))
