"""Whole answers that are written at once: the very bytes that they are message by message, and when they are not."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.api.conftest import Api
from tests.api.listening import Connect, answer_of, serving
from tests.api.test_sockets import GOOD, HEAD
from tests.waiting import loop_turns
from treadle.api.front import Front
from treadle.hostname import HostNames
from treadle.telemetry.metrics import Metrics
from treadle.web.exchange import MAX_COPIED_BYTES, offer, take_body, write_answer

pytestmark = pytest.mark.only_on("sqlite", reason="no store is asked")
PLAIN = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: r\r\n\r\n"


@dataclass
class Flow:
    write_paused: bool = False
    is_reading: bool = False

    def resume_reading(self) -> None:
        self.is_reading = True


@dataclass
class Transport:
    written: list[bytes] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        self.written.append(data)


@dataclass
class Cycle:
    """What is asked of uvicorn's."""

    default_headers: list[tuple[bytes, bytes]] = field(default_factory=lambda: [(b"date", b"today")])
    disconnected: bool = False
    keep_alive: bool = True
    more_body: bool = False
    response_started: bool = False
    response_complete: bool = False
    waiting_for_100_continue: bool = False
    body: bytearray = field(default_factory=lambda: bytearray(b"{}"))
    flow: Flow = field(default_factory=Flow)
    transport: Transport = field(default_factory=Transport)
    message_event: asyncio.Event = field(default_factory=asyncio.Event)
    ended: int = 0

    def on_response(self) -> None:
        self.ended += 1


def scope_of(cycle: Any) -> Scope:
    scope: Scope = {}
    offer(scope, cycle)
    return scope


def length(body: bytes) -> tuple[bytes, bytes]:
    return (b"content-length", b"%d" % len(body))


async def test_a_whole_answer_leaves_in_one_piece_and_ends_the_request() -> None:
    cycle = Cycle()
    assert write_answer(scope_of(cycle), 201, [(b"a", b"b"), length(b"hi")], b"x: y\r\n", b"hi")
    assert cycle.transport.written == [
        b"HTTP/1.1 201 Created\r\ndate: today\r\na: b\r\ncontent-length: 2\r\nx: y\r\n\r\nhi"
    ]
    assert (cycle.response_started, cycle.response_complete, cycle.ended) == (True, True, 1)
    assert cycle.message_event.is_set()


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ([], b""),
        ([(b"content-length", b"3")], b"hi"),
        ([(b"content-length", b"2"), (b"connection", b"close")], b"hi"),
        ([(b"content-length", b"2"), (b"transfer-encoding", b"chunked")], b"hi"),
        ([(b"content-length", b"2"), (b"a", b"b\r\nc: d")], b"hi"),
        ([(b"content-length", b"2"), (b"a", b"b\nc")], b"hi"),
        ([(b"content-length", b"2"), (b"a", b"b\rc")], b"hi"),
        ([(b"content-length", b"2"), (b"a", b"b\0c")], b"hi"),
        ([length(b"x" * (MAX_COPIED_BYTES + 1))], b"x" * (MAX_COPIED_BYTES + 1)),
    ],
)
async def test_what_uvicorn_must_look_at_is_left_to_it(fields: list[tuple[bytes, bytes]], body: bytes) -> None:
    cycle = Cycle()
    assert not write_answer(scope_of(cycle), 200, fields, b"", body)
    assert (cycle.transport.written, cycle.response_started, cycle.ended) == ([], False, 0)


@pytest.mark.parametrize(
    "cycle",
    [
        Cycle(disconnected=True),
        Cycle(keep_alive=False),
        Cycle(response_started=True),
        Cycle(flow=Flow(write_paused=True)),
    ],
)
async def test_a_connection_that_cannot_take_it_is_sent_messages(cycle: Cycle) -> None:
    assert not write_answer(scope_of(cycle), 200, [length(b"hi")], b"", b"hi")
    assert cycle.transport.written == []


async def test_a_body_that_has_arrived_is_taken_once() -> None:
    cycle = Cycle()
    cycle.message_event.set()
    scope = scope_of(cycle)
    assert take_body(scope) == b"{}"
    assert (take_body(scope), cycle.message_event.is_set(), cycle.flow.is_reading) == (b"", False, True)


@pytest.mark.parametrize(
    "cycle",
    [
        Cycle(more_body=True),
        Cycle(disconnected=True),
        Cycle(response_complete=True),
        Cycle(waiting_for_100_continue=True),
    ],
)
async def test_a_body_that_has_not_is_received(cycle: Cycle) -> None:
    assert take_body(scope_of(cycle)) is None
    assert take_body({}) is None


async def heard(app: ASGIApp, sent: bytes = PLAIN) -> tuple[int, dict[str, str], bytes]:
    async with serving(Front(app, HostNames(), Metrics())) as connect:
        reader, writer = await connect()
        writer.write(sent)
        status, headers, body = await answer_of(reader)
        headers.pop("date")
        return status, headers, body


@pytest.mark.parametrize(
    "response",
    [
        Response(b"{}", 201, {"Location": "/x"}, "application/json"),
        Response(b"", 200),
        Response("é", 404, {"Cache-Control": "max-age=60"}, "text/plain"),
        Response(b"x" * 100_000, 200),
        Response(b"bye", 200, {"Connection": "close"}),
    ],
)
async def test_both_ways_say_the_same(response: Response, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = await heard(response)
    monkeypatch.setattr("treadle.web.connection.offer", lambda *_: None)
    assert await heard(response) == at_once


async def test_what_streams_begins_before_it_ends() -> None:
    goes_on = asyncio.Event()

    async def parts() -> Any:
        yield b"one"
        await goes_on.wait()
        yield b"two"

    async with serving(Front(StreamingResponse(parts()), HostNames(), Metrics())) as connect:
        reader, writer = await connect()
        writer.write(PLAIN)
        async with asyncio.timeout(20):
            assert b"one" in await reader.readuntil(b"one")
            goes_on.set()
            assert b"two" in await reader.readuntil(b"two")


async def test_an_error_before_the_body_is_a_whole_problem() -> None:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        raise RuntimeError

    status, _, body = await heard(app)
    assert (status, json.loads(body)["type"]) == (500, "/problems/internal-error")


async def test_an_answer_whose_length_is_wrong_is_never_sent_as_it_is() -> None:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"HTTP/1.1 200 OK"})

    async with serving(Front(app, HostNames(), Metrics())) as connect:
        reader, writer = await connect()
        writer.write(PLAIN)
        async with asyncio.timeout(20):
            assert b"HTTP/1.1 200 OK" not in (await reader.read()).partition(b"\r\n\r\n")[2]


async def test_requests_in_a_row_are_answered_in_order(connect: Connect, api: Api) -> None:
    reader, writer = await connect()
    one = HEAD + b"X-Request-Id: %d\r\nContent-Length: %d\r\n\r\n" + GOOD
    writer.write(b"".join(one % (number, len(GOOD)) for number in range(5)))
    answers = [await answer_of(reader) for _ in range(5)]
    assert [(status, headers["x-request-id"]) for status, headers, _ in answers] == [(201, str(n)) for n in range(5)]
    assert await api.rows() == 5


async def test_a_body_in_pieces_and_one_that_waits_for_leave_are_received(connect: Connect, api: Api) -> None:
    reader, writer = await connect()
    writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD[:5])
    await writer.drain()
    await loop_turns(50)
    writer.write(GOOD[5:])
    assert (await answer_of(reader))[0] == 201
    writer.write(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(GOOD))
    async with asyncio.timeout(20):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(GOOD)
    assert (await answer_of(reader))[0] == 201
    assert await api.rows() == 2
