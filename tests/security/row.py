"""One row of the matrix of bad input: a request, and the one answer it may have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CANARY = "canary-4711"
"""Stands in values that are wrong. No answer may repeat it: it could be a password, markup, or ten megabytes."""

JSON = {"Content-Type": "application/json"}
UNKNOWN_ID = "019c0000-0000-7000-8000-000000000000"

Errors = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Row:
    """``id``: its number in the matrix; ``name``: what is wrong; the rest: the request and its answer.

    ``errors``: pointer and code of everything that must be named. ``why``: where the answer is another than most
    people would expect, the reason.
    """

    id: str
    name: str
    method: str = "POST"
    path: str = "/jobs"
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    status: int = 400
    problem: str = "invalid-request"
    errors: Errors = frozenset()
    answered_with: Mapping[str, str] = field(default_factory=dict)
    """Header fields that the answer must have."""
    why: str = ""

    def __str__(self) -> str:
        return f"{self.id}-{self.name.replace(' ', '-')}"


def errors(*pairs: tuple[str, str]) -> Errors:
    """Pointers and codes."""
    return frozenset(pairs)


def text(document: Any) -> bytes:
    """``document`` as a body."""
    return json.dumps(document).encode()


def malformed(number: str, name: str, body: bytes) -> Row:
    """A submission that is no strict JSON."""
    return Row(number, name, body=body, problem="malformed-json", errors=errors(("", "malformed_json")))


def submission(number: str, name: str, change: Mapping[str, Any], *pairs: tuple[str, str], why: str = "") -> Row:
    """A good submission with ``change`` in it; a member that becomes ``...`` is left out."""
    members = {"type": "CSV_EXPORT", "payload": {"data": [{"a": 1}]}, **change}
    body = text({member: value for member, value in members.items() if value is not ...})
    return Row(number, name, body=body, errors=errors(*pairs), why=why)


def export(number: str, name: str, payload: Any, *pairs: tuple[str, str], why: str = "") -> Row:
    """A ``CSV_EXPORT`` of ``payload``."""
    return submission(number, name, {"payload": payload}, *pairs, why=why)


def mail(number: str, name: str, change: Mapping[str, Any], *pairs: tuple[str, str], why: str = "") -> Row:
    """A good ``EMAIL_SEND`` with ``change`` in its payload; a member that becomes ``...`` is left out."""
    members = {"to": "ada@example.com", "subject": "Hello", "body": "It works.", **change}
    payload = {member: value for member, value in members.items() if value is not ...}
    return submission(number, name, {"type": "EMAIL_SEND", "payload": payload}, *pairs, why=why)
