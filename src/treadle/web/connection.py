"""One connection of the HTTP server: what must be refused before there is a request that a room could answer.

uvicorn's own class answers what is no HTTP in plain text, in the middle of another answer if need be, waits for ever
for a request's header, and keeps all of a header that never ends.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from treadle.web.exchange import offer
from treadle.web.problems import (
    HEADER_TIMEOUT,
    HEADERS_TOO_LARGE,
    MALFORMED_HTTP,
    Kind,
    Refused,
    problem_response,
)
from treadle.web.request import new_request_id

ANSWER_FIELDS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""What every answer carries that has not its own."""
ANSWER_BLOCK = b"".join(name + b": " + value + b"\r\n" for name, value in ANSWER_FIELDS)

HEADER_SECONDS = 10.0
"""From a connection's or a header's first byte to the header's end. Apache's mod_reqtimeout allows 10 to 20."""
MAX_UNENDED_BYTES = 64 * 1024
"""Of a header that has not ended, counted from the second piece on: more than the front takes of a whole one."""
LINGER_SECONDS = 2.0
"""Closed while the client still sends, a connection is reset and the answer lost: so long, what comes is dropped."""


class HttpConnection(HttpToolsProtocol):
    """uvicorn's protocol, with limits for a header that is on its way and one shape for every refusal."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._timer: asyncio.TimerHandle | None = None
        self._is_refused = False
        self._is_in_header = False
        self._headers_seen = 0
        self._unended_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See ``asyncio.Protocol``."""
        super().connection_made(transport)
        self._expect_header()

    def connection_lost(self, exc: Exception | None) -> None:
        """See ``asyncio.Protocol``."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See ``asyncio.Protocol``."""
        if self._is_refused:
            return
        self._unset_keepalive_if_required()
        was_in_header, seen = self._is_in_header, self._headers_seen
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(MALFORMED_HTTP, "this is not a request that can be read in one way only")
            return
        if self._is_in_header:
            # Where it began within this piece, what came before it belongs to another request: not counted.
            is_same = was_in_header and self._headers_seen == seen
            self._unended_bytes = self._unended_bytes + len(data) if is_same else 0
            if self._unended_bytes > MAX_UNENDED_BYTES:
                self._refuse(HEADERS_TOO_LARGE, "the header does not end")
                return
        if self._timer is None and (self._is_in_header or not self._is_answering):
            self._expect_header()

    def _feed(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                if not self._should_upgrade():
                    return
                # A server may ignore the offer (RFC 9110 section 7.8), but this parser takes it up: to it the body is
                # no longer HTTP. Java's client makes the offer with every request, so it is read again without.
                data = self._head_without_offer() + data[offer.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn: requests in a row
            else:
                return

    def _should_upgrade(self) -> bool:
        """Whether this request is held back, to be read again."""
        return self._get_upgrade() is not None

    def _head_without_offer(self) -> bytes:
        lines = [f"{self.scope['method']} ".encode() + self.url + f" HTTP/{self.parser.get_http_version()}".encode()]
        for name, value in self.headers:
            if name == b"connection":
                tokens = [token.strip() for token in value.split(b",")]
                lines.append(name + b": " + b", ".join(token for token in tokens if token.lower() != b"upgrade"))
            elif name != b"upgrade":
                lines.append(name + b": " + value)
        return b"\r\n".join([*lines, b"", b""])

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._is_in_header = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A request that can be answered."""
        self._is_in_header = False
        self._headers_seen += 1
        self._stop_timer()
        super().on_headers_complete()
        if self.cycle is not None:
            offer(self.scope, self.cycle)

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_header(self) -> None:
        self._timer = self.loop.call_later(HEADER_SECONDS, self._on_time_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_time_up(self) -> None:
        self._timer = None
        if self._is_answering:
            self._expect_header()  # the next request is late only once the one before it has its answer
        elif self._is_in_header:
            self._refuse(HEADER_TIMEOUT, "the header did not arrive in time")
        else:
            self.transport.close()  # nobody asked for anything

    def _refuse(self, kind: Kind, detail: str) -> None:
        self._is_refused = True
        self._stop_timer()
        if self._is_answering:
            if not self.cycle.more_body:
                self.cycle.keep_alive = False  # an earlier request: it gets its answer, and nothing follows
                return
            if self.cycle.response_started:
                self.transport.close()
                return
            self.cycle.disconnected = True  # its body cannot be read: this is its answer, and the room gives none
            self.cycle.message_event.set()
        self._write(kind, detail)
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _write(self, kind: Kind, detail: str) -> None:
        request_id = new_request_id()
        response = problem_response(Refused(kind, detail), request_id)
        fields = [
            *response.raw_headers,
            *ANSWER_FIELDS,
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
        ]
        head = [f"HTTP/1.1 {kind.status} {HTTPStatus(kind.status).phrase}".encode()]
        head += [name + b": " + value for name, value in fields]
        self.transport.write(b"\r\n".join([*head, b"", bytes(response.body)]))
