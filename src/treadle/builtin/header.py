"""Header lines: what may stand in one, and how text becomes one. Our own, because the library's is not safe here.

Python 3.11 before 3.11.10 decodes an encoded word found in a subject and writes the line breaks it held into the
header (CVE-2024-6923), and lets a trailing line feed through. Nothing here depends on the interpreter's patch level.
"""

from __future__ import annotations

import base64
import re

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SPACED_WORDS = re.compile(r"[!-~]+(?: [!-~]+)*+")
_FOLD_BEFORE = re.compile(r"(?= [^ ])")

_LINE_CHARACTERS = 76
"""RFC 2047 section 2, for lines with encoded words (78 for others); a word that is longer stays whole."""

_WORD_BYTES = 39
"""An encoded word of 64 characters: "Subject: " and one of them fit a line."""


def has_control_character(text: str) -> bool:
    """Whether ``text`` holds C0, DEL, C1 (with NEL), U+2028 or U+2029: whatever anybody takes for a line's end."""
    return _CONTROL.search(text) is not None


def header_line(name: str, value: str) -> bytes:
    """``name: value`` with CRLF, folded at blanks. Raises ``ValueError`` for what is not printable ASCII."""
    if has_control_character(value) or not value.isascii():
        raise ValueError(f"the header {name} would hold a control character or no ASCII")
    if len(name) + len(": ") + len(value) <= _LINE_CHARACTERS:  # nearly always; folding took half of a message's time
        return f"{name}: {value}\r\n".encode("ascii")
    lines = [f"{name}:"]
    for part in _FOLD_BEFORE.split(" " + value):
        # Not after the bare name: a first line without text is legal, and some filters count it as spam.
        if len(lines[-1]) + len(part) > _LINE_CHARACTERS and len(lines[-1]) > len(name) + 1:
            lines.append(part)
        else:
            lines[-1] += part
    return "\r\n".join(lines).encode("ascii") + b"\r\n"


def encoded(text: str) -> str:
    """``text`` for a header: as it is where that is safe, else as RFC 2047 encoded words, so that it reads the same."""
    if _SPACED_WORDS.fullmatch(text) and "=?" not in text:
        return text
    words, word = [], b""
    for character in text:
        data = character.encode("utf-8")
        if len(word) + len(data) > _WORD_BYTES:
            words.append(word)
            word = b""
        word += data
    words.append(word)
    return " ".join(f"=?utf-8?b?{base64.b64encode(word).decode('ascii')}?=" for word in words)
