"""The application behind the server it ships with, spoken to byte by byte."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from tests.api.conftest import Api
from tests.api.listening import Connect, answer_of, is_closed
from tests.api.test_contract import published
from tests.waiting import eventually

GOOD = json.dumps({"type": "GREET", "payload": {"name": "Ada"}}).encode()
HEAD = b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


async def test_a_connection_serves_many_requests(connect: Connect, api: Api) -> None:
    reader, writer = await connect()
    for _ in range(3):
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD)
        assert (await answer_of(reader))[0] == 201
    writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD))
    assert (await answer_of(reader))[0] == 201
    assert await api.rows() == 4


async def test_ten_gigabytes_are_refused_at_their_announcement(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(HEAD + b"Content-Length: 10000000000\r\n\r\n")
    status, headers, body = await answer_of(reader)
    assert (status, headers["connection"]) == (413, "close")
    assert json.loads(body)["type"] == "/problems/too-large"
    assert await is_closed(reader)


async def test_a_client_that_sends_all_before_it_listens_hears_why_it_was_refused(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(HEAD + b"Content-Length: 12000000\r\n\r\n" + b" " * 12_000_000)
    await writer.drain()
    assert (await answer_of(reader))[0] == 413
    assert await is_closed(reader)


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 0x10\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"X: a\x00b\r\n\r\n",
        b"no colon\r\n\r\n",
    ],
)
async def test_what_two_hops_could_read_differently_is_refused_and_the_connection_closed(
    connect: Connect, api: Api, fields: bytes
) -> None:
    reader, writer = await connect()
    writer.write(HEAD + fields + b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(20):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"200 OK" not in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["type"].startswith("/problems/")
    assert await api.rows() == 0


async def test_a_body_shorter_than_announced_makes_no_job_and_no_log_line(
    connect: Connect, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await connect()
    writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % (len(GOOD) + 1) + GOOD)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    reader, writer = await connect()
    writer.write(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await answer_of(reader))[0] == 200
    assert await api.rows() == 0
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_client_that_goes_before_its_answer_has_submitted_all_the_same(connect: Connect, api: Api) -> None:
    _, writer = await connect()
    writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD)
    await writer.drain()
    writer.close()

    async def is_there() -> bool:
        return await api.rows() == 1

    await eventually(is_there)


@pytest.mark.parametrize(
    ("request_line", "fields", "status"),
    [
        (b"GET /%s HTTP/1.1" % (b"x" * 64_000), b"", 414),
        (b"GET /live HTTP/1.1", b"X: %s\r\n" % (b"y" * 64_000), 431),
        (b"GET /live HTTP/1.1", b"".join(b"X-%d: y\r\n" % n for n in range(500)), 431),
    ],
)
async def test_too_much_before_the_body_is_refused(
    connect: Connect, request_line: bytes, fields: bytes, status: int
) -> None:
    reader, writer = await connect()
    writer.write(request_line + b"\r\nHost: localhost\r\n" + fields + b"\r\n")
    assert (await answer_of(reader))[0] == status
    assert await is_closed(reader)


async def test_a_client_that_waits_for_a_go_ahead_is_refused_before_it_sends(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(HEAD + b"Content-Length: 999999999\r\nExpect: 100-continue\r\n\r\n")
    assert (await answer_of(reader))[0] == 413


async def test_a_file_crosses_the_wire_whole_and_its_head_alone(connect: Connect, api: Api) -> None:
    data = bytes(range(256)) * 4_000
    job_id = await published(api, data)
    reader, writer = await connect()
    path = f"/jobs/{job_id}/result".encode()
    writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await answer_of(reader))[2] == data
    writer.write(b"HEAD " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(20):
        head = await reader.read()
    assert b"content-length: 1024000\r\n" in head.lower()
    assert head.endswith(b"\r\n\r\n")


async def test_slow_bodies_hold_up_nobody(connect: Connect) -> None:
    slow = [await connect() for _ in range(100)]
    for _, writer in slow:
        writer.write(HEAD + b"Content-Length: 1000\r\n\r\n{")
    reader, writer = await connect()
    writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD)
    assert (await answer_of(reader))[0] == 201
