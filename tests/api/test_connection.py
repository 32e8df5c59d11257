"""What never becomes a request: headers that do not end or do not begin, and what follows a request."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.api.conftest import Api
from tests.api.listening import Connect, answer_of, is_closed
from tests.api.test_sockets import GOOD, HEAD
from treadle.testing import FaultyStore
from treadle.web import connection

pytestmark = pytest.mark.only_on("sqlite", reason="no store is asked")
LIVE = b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A header has an instant to arrive in."""
    monkeypatch.setattr(connection, "HEADER_SECONDS", 0.05)


async def test_a_header_that_never_ends_is_cut_off_while_it_comes(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(b"GET /live HTTP/1.1\r\nHost: localhost\r\n")
    told = asyncio.ensure_future(answer_of(reader))
    while not told.done():
        writer.write(b"X: " + b"y" * 10_000 + b"\r\n")
        await writer.drain()
    status, headers, body = await told
    assert (status, headers["connection"], headers["cache-control"]) == (431, "close", "no-store")
    assert json.loads(body)["type"] == "/problems/headers-too-large"
    assert await is_closed(reader)


async def test_one_field_that_never_ends_is_cut_off_too(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(b"GET /live HTTP/1.1\r\nHost: localhost\r\nX: ")
    told = asyncio.ensure_future(answer_of(reader))
    while not told.done():
        writer.write(b"y" * 10_000)
        await writer.drain()
    assert (await told)[0] == 431


@pytest.mark.usefixtures("hurried")
async def test_a_header_that_stops_halfway_is_answered_and_the_connection_closed(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(LIVE[:-2])
    status, _, body = await answer_of(reader)
    assert (status, json.loads(body)["type"]) == (408, "/problems/header-timeout")
    assert await is_closed(reader)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("sent", [b"", b"\r\n"])
async def test_who_asks_for_nothing_is_hung_up_on(connect: Connect, sent: bytes) -> None:
    reader, writer = await connect()
    writer.write(sent)
    assert await is_closed(reader)


@pytest.mark.usefixtures("hurried")
async def test_a_second_header_has_its_own_time_and_the_first_answer_is_not_disturbed(
    connect: Connect, api: Api
) -> None:
    store = FaultyStore(api.runtime.store)
    api.runtime.store = store
    gate = store.hold("insert")
    reader, writer = await connect()
    writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD + LIVE[:-2])
    await gate.reached.wait()
    await asyncio.to_thread(lambda: None)
    gate.open()
    assert (await answer_of(reader))[0] == 201
    assert (await answer_of(reader))[0] == 408


async def test_what_follows_a_request_and_is_none_does_not_take_its_answer(connect: Connect, api: Api) -> None:
    store = FaultyStore(api.runtime.store)
    api.runtime.store = store
    gate = store.hold("insert")
    reader, writer = await connect()
    writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD + b"\x16\x03\x01 no HTTP\r\n\r\n")
    await gate.reached.wait()
    gate.open()
    assert (await answer_of(reader))[0] == 201
    assert await is_closed(reader)
    assert await api.rows() == 1


async def test_many_requests_in_one_piece_are_no_header_that_does_not_end(connect: Connect) -> None:
    reader, writer = await connect()
    for _ in range(3):
        writer.write(LIVE * 2_000 + LIVE[:20])
        writer.write(LIVE[20:])
    for _ in range(6_003):
        assert (await answer_of(reader))[0] == 200


async def test_an_offer_to_speak_something_else_is_ignored(connect: Connect) -> None:
    reader, writer = await connect()
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
    writer.write(LIVE[:-2] + offer)
    assert (await answer_of(reader))[0] == 200
    writer.write(HEAD + b"Content-Length: %d\r\n" % len(GOOD) + offer + GOOD)
    assert (await answer_of(reader))[0] == 201
