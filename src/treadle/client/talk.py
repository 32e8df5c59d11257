"""The words between the rules and the two classes that send: a talk asks, is replied to, and returns or raises."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, TypeAlias, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Ask:
    """One HTTP request."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    is_admin: bool = False
    """Whether it goes with the admin login rather than with the API key."""
    patience_seconds: float = 0.0
    """How much longer than usual the answer may take: the server was asked to wait."""
    is_repeatable: bool = True
    """Whether sending it twice does no more than sending it once."""
    sink: BinaryIO | None = None
    """Where the body of a 200 goes, from the file's beginning, instead of into ``Answer.body``."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Let so much time pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nothing came back, or not all of it."""

    detail: str
    was_sent: bool
    """Whether the server may have seen the request."""


Talk: TypeAlias = Generator[Ask | Pause, Answer | NoAnswer | None, Result]
