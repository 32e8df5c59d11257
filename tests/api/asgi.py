"""One request as an ASGI server hands it over, piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message

Fields = Iterable[tuple[bytes, bytes]]

HOST = (b"host", b"127.0.0.1:3000")
JSON = (b"content-type", b"application/json")


def piece(body: bytes = b"", *, more: bool = False) -> Message:
    """A part of a request's body."""
    return {"type": "http.request", "body": body, "more_body": more}


GONE: Message = {"type": "http.disconnect"}


@dataclass
class Told:
    """What the application sent."""

    messages: list[Message]

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])


async def call(
    app: ASGIApp,
    method: str,
    path: str,
    pieces: Iterable[Message] = (piece(),),
    fields: Fields = (HOST, JSON),
    *,
    query: bytes = b"",
    client: str = "127.0.0.1",
    http_version: str = "1.1",
) -> Told:
    """Call ``app`` with a request whose body comes in ``pieces``; after the last one nothing comes any more."""
    left = list(pieces)
    told: list[Message] = []

    async def receive() -> Message:
        if left:
            return left.pop(0)
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    async def send(message: Message) -> None:
        told.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "http_version": http_version,
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": list(fields),
        "client": (client, 50_000),
    }
    await app(scope, receive, send)
    return Told(told)
