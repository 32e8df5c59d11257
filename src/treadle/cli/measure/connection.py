"""``Connection``: one keep-alive HTTP/1.1 connection; a general client would take more of the machine than the server.

Where the server is, and what it is shown, is ``Target``.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpResponseParser

from treadle.client.address import Address
from treadle.client.judge import error_of
from treadle.client.talk import Answer
from treadle.errors import Unavailable

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class Target:
    """A server, and what it is shown."""

    url: str
    key: str | None = None
    admin: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        """Raises ``InvalidInput`` for what is no address, and for a key that can be none."""
        Address(self.url, self.key, self.admin, ANSWER_SECONDS)

    def request(self, method: str, path: str, body: bytes = b"", *, is_admin: bool = False) -> bytes:
        """One whole request."""
        parts = urlsplit(self.url)
        lines = [f"{method} {parts.path.rstrip('/')}{path} HTTP/1.1", f"Host: {parts.netloc}"]
        if is_admin and self.admin is not None:
            lines.append(f"Authorization: Basic {base64.b64encode(':'.join(self.admin).encode()).decode()}")
        elif not is_admin and self.key is not None:
            lines.append(f"Authorization: Bearer {self.key}")
        if body:
            lines.append("Content-Type: application/json")
        lines += [f"Content-Length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode() + body

    async def connect(self, protocol: asyncio.Protocol) -> None:
        """Raises ``Unavailable``."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None  # noqa: S101  (an address has one)
        is_tls = parts.scheme == "https"
        tls = ssl.create_default_context() if is_tls else None
        port = parts.port or (443 if is_tls else 80)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await loop.create_connection(lambda: protocol, parts.hostname, port, ssl=tls)
        except (OSError, TimeoutError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or "no answer in time"
            raise Unavailable(f"no connection to the server at {parts.hostname}:{port} ({reason})") from error


class Connection(asyncio.Protocol):
    """One request at a time. A server may end it between two of them: then the next one is made."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._parser = HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()

    async def open(self) -> None:
        """Connect. Raises ``Unavailable``."""
        await self._target.connect(self)

    async def exchange(self, request: bytes) -> Answer:
        """Send, and wait for the whole answer of a success. Raises what any other answer means, ``Unavailable``."""
        if self._transport is None or self._transport.is_closing():
            await self.open()
        assert self._transport is not None  # noqa: S101  (it is open)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        answer = await self._answer
        error = error_of(answer)
        if error is not None:
            raise error
        return answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    # ---------------------------------------------------------------------------------- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See ``asyncio.Protocol``."""
        self._transport = cast(asyncio.Transport, transport)
        self._parser = HttpResponseParser(self)
        self._headers, self._body = [], bytearray()

    def data_received(self, data: bytes) -> None:
        """See ``asyncio.Protocol``."""
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            self._fail(f"the server's answer is no HTTP ({error})")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """See ``asyncio.Protocol``."""
        self._transport = None
        self._fail(f"the connection to the server broke ({exc or 'closed'})")

    # --------------------------------------------------------------------------------- what httptools calls

    def on_header(self, name: bytes, value: bytes) -> None:
        """See ``httptools``."""
        self._headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        """See ``httptools``."""
        self._body += body

    def on_message_complete(self) -> None:
        """See ``httptools``."""
        status = int(self._parser.get_status_code())
        headers: dict[str, str] = {}
        if status >= 300:  # of a success only the body is looked at
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._headers}
        answer = Answer(status, headers, bytes(self._body))
        if not self._parser.should_keep_alive():
            self.close()
        self._headers, self._body = [], bytearray()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def _fail(self, words: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Unavailable(words))
