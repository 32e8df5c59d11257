"""A request's body and its answer whole, where this server has the one already and can write the other at once.

ASGI hands a body over in messages that are waited for, within a time, and takes an answer in two, whose every field
uvicorn looks through; for a small request that was a third of all it cost. Under another server, and in tests that
call the application themselves, there is nothing of this, and everything goes by messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

Fields = Sequence[tuple[bytes, bytes]]

_CYCLE = "treadle.cycle"
_BY_MESSAGES = frozenset({b"connection", b"transfer-encoding"})
"""Fields that decide how an answer is sent: uvicorn reads them."""
MAX_COPIED_BYTES = 64 * 1024
"""Head and body are joined, so that they leave in one piece; a large body shall not be there twice."""


def offer(scope: Any, cycle: RequestResponseCycle) -> None:
    """Let the application reach ``cycle``, uvicorn's side of the request ``scope``."""
    scope[_CYCLE] = cycle


def take_body(scope: Scope) -> bytes | None:
    """The whole body where it has arrived already; ``None``: it must be received, message by message."""
    cycle: RequestResponseCycle | None = scope.get(_CYCLE)
    if (
        cycle is None
        or cycle.more_body
        or cycle.disconnected
        or cycle.response_complete
        or cycle.waiting_for_100_continue
    ):
        return None
    cycle.flow.resume_reading()
    cycle.message_event.clear()
    body = bytes(cycle.body)
    cycle.body = bytearray()
    return body


def write_answer(scope: Scope, status: int, fields: Fields, block: bytes, body: bytes) -> bool:
    """Write a whole answer; ``False``, and nothing written, where it has to be sent message by message.

    ``fields`` name the body's length; ``block``: further fields as they are written, each with its line's end.
    """
    cycle: RequestResponseCycle | None = scope.get(_CYCLE)
    if (
        cycle is None
        or cycle.disconnected
        or cycle.response_started
        or cycle.flow.write_paused
        or not cycle.keep_alive
        or len(body) > MAX_COPIED_BYTES
        or (b"content-length", b"%d" % len(body)) not in fields
    ):
        return False
    told = [*cycle.default_headers, *fields]
    lines = b"".join([name + b": " + value + b"\r\n" for name, value in told]) + block
    ends = len(told) + block.count(b"\n")
    is_plain = lines.count(b"\n") == lines.count(b"\r") == ends and b"\0" not in lines
    if not is_plain or not _BY_MESSAGES.isdisjoint([name for name, _ in fields]):
        return False
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(b"".join((STATUS_LINE[status], lines, b"\r\n", body)))
    cycle.message_event.set()
    cycle.on_response()
    return True
