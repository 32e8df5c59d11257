"""A payload as it is given to a command: JSON, ``@FILE``, or ``-`` for standard input."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from treadle.errors import InvalidInput, Problem
from treadle.jsontext import check_strict


def payload_of(argument: str) -> msgspec.Raw:
    """The JSON text that ``argument`` is or names. Raises ``InvalidInput``."""
    try:
        if argument == "-":
            text = sys.stdin.buffer.read()
        elif argument.startswith("@"):
            text = Path(argument[1:]).read_bytes()
        else:
            text = argument.encode()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a file name, or not text"
        raise InvalidInput([Problem("/payload", "unreadable", f"cannot be read: {reason}")]) from None
    try:
        check_strict(text)
    except InvalidInput as error:
        problems = [Problem(f"/payload{p.pointer}", p.code, p.detail) for p in error.problems]
        raise InvalidInput(problems) from None
    return msgspec.Raw(text)
