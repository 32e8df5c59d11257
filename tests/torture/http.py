"""One HTTP request on a connection of its own, told apart to the byte: never sent, sent and not answered, answered."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class NotAnswered(Exception):
    """``was_sent``: the server may have got it, and may have done it."""

    def __init__(self, why: str, *, was_sent: bool) -> None:
        super().__init__(why)
        self.was_sent = was_sent


@dataclass(frozen=True)
class Answer:
    """What came back, whole."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    port: int,
    method: str,
    path: str,
    body: object = None,
    *,
    headers: Mapping[str, str] | None = None,
    within_seconds: float = 20,
    walk_away: bool = False,
) -> Answer:
    """Raises ``NotAnswered``. ``walk_away``: send, and never look at the answer."""
    text = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close"]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(text)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), within_seconds)
    except OSError as error:
        raise NotAnswered(str(error), was_sent=False) from error
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode() + text)
        await writer.drain()
        if walk_away:
            raise NotAnswered("nobody waited", was_sent=True)
        return _read(await asyncio.wait_for(reader.read(), within_seconds))
    except OSError as error:  # TimeoutError is one of them
        raise NotAnswered(str(error) or type(error).__name__, was_sent=True) from error
    finally:
        with contextlib.suppress(OSError):
            writer.close()


def _read(answer: bytes) -> Answer:
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
    if not lines[0].startswith("HTTP/1.1 ") or len(body) != int(fields.get("content-length", "-1")):
        raise NotAnswered(f"the answer broke off after {len(answer)} bytes", was_sent=True)
    return Answer(int(lines[0].split()[1]), body)
