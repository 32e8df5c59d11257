"""E-mail addresses, strictly: one plain ``local@domain`` and nothing else that RFC 5322 would let stand in a header."""

from __future__ import annotations

import re
import unicodedata

from treadle.builtin.header import has_control_character

MAX_ADDRESS_CHARACTERS = 254
"""RFC 5321 4.5.3.1.3 with its erratum 1690: a path of 256 is this and two angle brackets."""

_MAX_LOCAL_CHARACTERS = 64
_MAX_DOMAIN_CHARACTERS = 253

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


class BadAddress(ValueError):
    """No address to send to; ``code`` is stable, the text says what was expected and never repeats the value."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        super().__init__(detail)


def parse_address(text: str) -> str:
    """The address with its domain in lower case and ASCII (RFC 3492). Total: an address or ``BadAddress``.

    The part before the @ keeps its case: only its own server may say that Ada is ada.
    """
    if has_control_character(text):
        raise BadAddress("control_character", "control characters are not allowed in an address")
    local, at, domain = text.rpartition("@")
    if not at:
        raise BadAddress("address", "expected one plain address such as ada@example.com")
    if not local.isascii():
        raise BadAddress("address", "before the @ only ASCII characters are allowed")
    # "=?" is legal in an atom, and a decoder of encoded words would make something else of it.
    if len(local) > _MAX_LOCAL_CHARACTERS or not _LOCAL.fullmatch(local) or "=?" in local:
        raise BadAddress(
            "address",
            f"before the @ expected 1 to {_MAX_LOCAL_CHARACTERS} letters, digits, dots between them, "
            "and !#$%&'*+/=?^_`{|}~-; no name, no quotes, no comment",
        )
    domain = _ascii_domain(domain)
    if len(local) + 1 + len(domain) > MAX_ADDRESS_CHARACTERS:
        raise BadAddress("address", f"an address has at most {MAX_ADDRESS_CHARACTERS} characters")
    return f"{local}@{domain}"


def _ascii_domain(domain: str) -> str:
    # The length first: the codec takes quadratic time (CVE-2022-45061).
    if len(domain) <= _MAX_DOMAIN_CHARACTERS:
        ascii_domain = domain.lower() if domain.isascii() else _punycode(domain)
        labels = ascii_domain.split(".")
        if (
            len(ascii_domain) <= _MAX_DOMAIN_CHARACTERS
            and all(_LABEL.fullmatch(label) for label in labels)
            and not labels[-1].isdecimal()  # 192.0.2.1 without its brackets
        ):
            return ascii_domain
    raise BadAddress("address", "after the @ expected a domain: letters, digits and hyphens, in parts of at most 63")


def _punycode(domain: str) -> str:
    plain = unicodedata.normalize("NFC", domain).lower()
    try:
        ascii_domain = plain.encode("idna").decode("ascii")
        reads_back = ascii_domain.encode("ascii").decode("idna")
    except UnicodeError:
        return ""
    # The codec speaks IDNA 2003, which makes "ss" of a sharp s and letters of fullwidth and circled ones: mail to
    # somebody else's domain. What does not read back as it was written is refused.
    return ascii_domain.lower() if reads_back == plain else ""
