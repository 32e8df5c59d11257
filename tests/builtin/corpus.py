"""Texts that have opened a second header somewhere."""

from __future__ import annotations

CONTROL_CHARACTERS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)]

ENCODED_WORDS = [
    "=?utf-8?q?x=0d=0aBcc:=20victim@example.org?=",
    "=?utf-8?q?x=0aBcc:=20victim@example.org?=",
    "=?utf-8?b?eA0KQmNjOiB2aWN0aW1AZXhhbXBsZS5vcmc=?=",
    "=?iso-8859-1?q?=0d=0a=0d=0abody?= and more",
    "a =?utf-8?q?x=00?= b",
    "=?utf-8?q?half",
]
"""Harmless as they stand; a library that decodes them writes line breaks into the header (CVE-2024-6923)."""
