"""The front: what every request passes before it is routed, and what every answer carries."""

from __future__ import annotations

import asyncio
import logging

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from treadle.clock import rising_seconds
from treadle.hostname import HOW_TO_ALLOW, HostNames
from treadle.telemetry.meters import OTHER
from treadle.telemetry.metrics import Metrics
from treadle.web.connection import ANSWER_BLOCK, ANSWER_FIELDS
from treadle.web.exchange import write_answer
from treadle.web.problems import (
    ADDRESS_TOO_LONG,
    BODY_TIMEOUT,
    HEADERS_TOO_LARGE,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    MISDIRECTED,
    TOO_LARGE,
    Refused,
    kind_of,
    problem_response,
)
from treadle.web.request import REQUEST, Request

logger = logging.getLogger("treadle.api")

MAX_FIELDS = 100
MAX_HEADER_BYTES = 32 * 1024
MAX_ADDRESS_BYTES = 8 * 1024
"""What RFC 9110 section 4.1 asks every server to take, and nginx and Apache take by default."""

LARGE_UNREAD_BYTES = 64 * 1024
LINGER_SECONDS = 5.0
"""A connection that is closed while the client still sends is reset, and the answer lost with it (RFC 9112 section
9.6): what comes is read and thrown away this long. nginx: lingering_timeout."""
LINGER_SILENCE_SECONDS = 1.0

ANSWER_NAMES = frozenset(name for name, _ in ANSWER_FIELDS)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Front:
    """ASGI application around the router; it answers to ``host_names`` alone."""

    def __init__(self, router: ASGIApp, host_names: HostNames, metrics: Metrics) -> None:
        self._router = router
        self._host_names = host_names
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        if scope["type"] != "http":  # the server is told to offer nothing else
            return
        request = Request(scope, receive)
        scope[REQUEST] = request
        answer = _Answer(request, send, self._metrics)
        try:
            self._check(request)
            await self._router(scope, receive, answer)
        except ClientDisconnect:
            return
        except Exception as error:
            await _refuse(request, error, answer)

    def _check(self, request: Request) -> None:
        scope = request.scope
        if len(scope.get("raw_path") or b"") + len(request.query) > MAX_ADDRESS_BYTES:
            raise Refused(ADDRESS_TOO_LONG, f"at most {MAX_ADDRESS_BYTES} bytes")
        if len(scope["headers"]) > MAX_FIELDS or request.header_bytes > MAX_HEADER_BYTES:
            raise Refused(HEADERS_TOO_LARGE, f"at most {MAX_FIELDS} fields and {MAX_HEADER_BYTES} bytes in all")
        host = request.field(b"host")
        if host is None:
            if scope.get("http_version") != "1.0":  # and no browser speaks that: there is no page behind it
                raise Refused(INVALID_REQUEST, "the Host header field is missing")
        elif not self._host_names.have(host.decode("latin-1")):
            raise Refused(MISDIRECTED, f"this server does not answer to that host name; {HOW_TO_ALLOW}")


class _Answer:
    """``send``, with what every answer carries unless it has its own; the body of an answer to HEAD stays here.

    The start of an answer whose length is known waits for its body: mostly that is all of it, and written at once.
    """

    __slots__ = ("_began", "_metrics", "_request", "_send", "_start", "is_begun")

    def __init__(self, request: Request, send: Send, metrics: Metrics) -> None:
        self._metrics = metrics
        self._began = rising_seconds()
        self._request = request
        self._send = send
        self._start: Message | None = None
        self.is_begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            if b"content-length" not in [name for name, _ in message["headers"]]:
                await self._begin(message)
            return
        if self._request.method == "HEAD":
            message["body"] = b""
        start = self._start
        if start is not None:
            if not message.get("more_body", False) and self._write(start, message.get("body", b"")):
                return
            await self._begin(start)
        await self._send(message)

    async def _begin(self, start: Message) -> None:
        self._start = None
        self.is_begun = True
        self._count(start["status"])
        own = start["headers"]
        named = {name for name, _ in own}
        request_id = (b"x-request-id", self._request.id.encode("ascii"))
        start["headers"] = [*own, *(field for field in ANSWER_FIELDS if field[0] not in named), request_id]
        await self._send(start)

    def _write(self, start: Message, body: bytes) -> bool:
        own = start["headers"]
        if not ANSWER_NAMES.isdisjoint([name for name, _ in own]):
            return False
        block = b"%bx-request-id: %b\r\n" % (ANSWER_BLOCK, self._request.id.encode("ascii"))
        if not write_answer(self._request.scope, start["status"], own, block, body):
            return False
        self.is_begun = True
        self._start = None
        self._count(start["status"])
        return True

    def _count(self, status: int) -> None:
        method = self._request.method
        method = method if method in _METHODS else OTHER  # anybody may invent one
        route = self._request.route or OTHER
        self._metrics.requests.add(1, method, route, str(status))
        seconds = rising_seconds() - self._began
        self._metrics.request_seconds.observe(seconds, method, route)
        if logger.isEnabledFor(logging.DEBUG):
            fields = {"request": self._request.id, "seconds": round(seconds, 6)}
            logger.debug("%s %s: %d", method, route, status, extra=fields)


async def _refuse(request: Request, error: Exception, answer: _Answer) -> None:
    kind = kind_of(error)
    if kind is INTERNAL_ERROR:
        fields = {"request": request.id}
        logger.error("request %s failed: %s", request.id, type(error).__name__, exc_info=error, extra=fields)
    if answer.is_begun:
        return  # half an answer cannot be taken back: the server closes the connection on it
    response = problem_response(error, request.id)
    must_close = kind in (BODY_TIMEOUT, TOO_LARGE, ADDRESS_TOO_LONG, HEADERS_TOO_LARGE)
    if not must_close and not _has_large_unread_body(request):
        await response(request.scope, request.receive, answer)
        return
    response.headers["Connection"] = "close"
    await _answer_and_linger(request, response, answer, linger=kind is not BODY_TIMEOUT)


def _has_large_unread_body(request: Request) -> bool:
    is_large = request.has(b"transfer-encoding") or request.declared_bytes > LARGE_UNREAD_BYTES
    return is_large and not request.body_was_read


async def _answer_and_linger(request: Request, response: Response, answer: _Answer, *, linger: bool) -> None:
    start: Message = {
        "type": "http.response.start",
        "status": response.status_code,
        "headers": response.raw_headers,
    }
    await answer(start)
    await answer({"type": "http.response.body", "body": response.body, "more_body": linger})
    if linger:
        await _read_past(request)
        await answer({"type": "http.response.body", "body": b"", "more_body": False})


async def _read_past(request: Request) -> None:
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            more = not request.body_was_read
            while more:
                async with asyncio.timeout(LINGER_SILENCE_SECONDS):
                    message = await request.receive()
                more = message["type"] == "http.request" and message.get("more_body", False)
    except TimeoutError:
        pass
