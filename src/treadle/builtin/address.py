"""E-mail addresses, strictly: one plain addr-spec, nothing that could carry a second header."""

from __future__ import annotations

import re
import unicodedata

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
MAX_LOCAL = 64
MAX_ADDRESS = 254
"""RFC 5321 4.5.3.1 and its erratum 1690."""


def has_control(text: str) -> bool:
    """Whether ``text`` holds anything that could end or bend a header line: C0, C1, DEL, U+2028, U+2029."""
    return any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in text)


def normalised(text: str) -> str | None:
    """The address with its domain in ASCII, or ``None`` where it is none."""
    local, at, domain = text.rpartition("@")
    if not at or len(local) > MAX_LOCAL or not _LOCAL.fullmatch(local):
        return None
    try:
        encoded = domain.encode("idna")
        # The standard library's IDNA 2003 makes another domain of some letters (ß becomes ss): mail to a stranger.
        if not domain.isascii() and encoded.decode("idna") != domain.lower():
            return None
        domain = encoded.decode("ascii")
    except UnicodeError:
        return None
    if len(local) + 1 + len(domain) > MAX_ADDRESS or not all(_LABEL.fullmatch(part) for part in domain.split(".")):
        return None
    return f"{local}@{domain.lower()}"
