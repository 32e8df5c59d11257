"""Bodies: counted while they stream, given a time, and read past where the client must hear the answer."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Message

from tests.api.asgi import GONE, HOST, JSON, call, piece
from tests.api.conftest import Api, NewApi
from treadle.api import front
from treadle.testing import FaultyStore
from treadle.web import body as bodies
from treadle.web.request import Request

GOOD = json.dumps({"type": "GREET", "payload": {"name": "Ada"}}).encode()
SMALL = {"TREADLE_MAX_BODY_BYTES": "1024"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody here goes on sending after a pause."""
    monkeypatch.setattr(front, "LINGER_SILENCE_SECONDS", 0.01)


async def test_pieces_make_one_body(api: Api) -> None:
    told = await call(api.app, "POST", "/jobs", [piece(bytes([b]), more=True) for b in GOOD] + [piece()])
    assert told.status == 201


async def test_counting_ends_with_the_piece_that_is_too_much(new_api: NewApi) -> None:
    api = await new_api(SMALL)
    for pieces in ([piece(b" " * 1025)], [piece(b" " * 600, more=True), piece(b" " * 600, more=True), GONE]):
        told = await call(api.app, "POST", "/jobs", pieces)
        assert (told.status, told.headers["connection"]) == (413, "close")
        assert json.loads(told.body)["type"] == "/problems/too-large"
    assert await api.rows() == 0


async def test_a_declared_length_is_enough_to_refuse(new_api: NewApi) -> None:
    api = await new_api(SMALL)
    for length in (b"1025", b"10000000000", b"9" * 5000):
        told = await call(api.app, "POST", "/jobs", [], [HOST, JSON, (b"content-length", length)])
        assert told.status == 413
        assert told.messages[1]["body"] != b""  # said at once, before anything is read past


async def test_a_body_that_stops_arriving_is_given_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.05)
    for pieces in ([], [piece(GOOD[:5], more=True)]):
        told = await call(api.app, "POST", "/jobs", pieces)
        assert (told.status, told.headers["connection"]) == (408, "close")
    assert await api.rows() == 0


async def test_every_piece_buys_time_by_its_size(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.0)
    monkeypatch.setattr(bodies, "SLOWEST_BYTES_PER_SECOND", 1)
    assert (await call(api.app, "POST", "/jobs", [piece(GOOD, more=True), piece()])).status == 201


async def test_no_body_is_malformed_rather_than_of_the_wrong_type(api: Api) -> None:
    for fields in ([HOST], [HOST, JSON], [HOST, (b"content-length", b"0")]):
        told = await call(api.app, "POST", "/jobs", fields=fields)
        assert (told.status, json.loads(told.body)["type"]) == (400, "/problems/malformed-json")
    for fields in ([HOST, (b"content-length", b"2")], [HOST, (b"transfer-encoding", b"chunked")]):
        assert (await call(api.app, "POST", "/jobs", [piece(GOOD)], fields)).status == 415


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"identity, gzip", b"x"])
async def test_an_encoded_body_is_refused_unread(api: Api, encoding: bytes) -> None:
    fields = [HOST, JSON, (b"content-encoding", encoding)]
    assert (await call(api.app, "POST", "/jobs", [], fields)).status == 415


@pytest.mark.parametrize("encoding", [b"identity", b"Identity"])
async def test_no_encoding_may_be_named(api: Api, encoding: bytes) -> None:
    fields = [HOST, JSON, (b"content-encoding", encoding)]
    assert (await call(api.app, "POST", "/jobs", [piece(GOOD)], fields)).status == 201


@pytest.mark.parametrize(
    "media_type",
    [
        b"application/json;charset=utf-8",
        b'APPLICATION/JSON ; Charset="UTF-8"',
        b"application/json;",
    ],
)
async def test_json_has_several_spellings(api: Api, media_type: bytes) -> None:
    fields = [HOST, (b"content-type", media_type)]
    assert (await call(api.app, "POST", "/jobs", [piece(GOOD)], fields)).status == 201


@pytest.mark.parametrize(
    "media_type",
    [
        b"application/jsonx",
        b"application/json; charset=utf-16",
        b"application/json; charset=utf-8; x=y",
        b"application/json, text/plain",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=application/json",
        b"application/json\xff",
    ],
)
async def test_nothing_else_is_json(api: Api, media_type: bytes) -> None:
    fields = [HOST, (b"content-type", media_type)]
    assert (await call(api.app, "POST", "/jobs", [piece(GOOD)], fields)).status == 415
    assert await api.rows() == 0


async def test_a_refused_client_that_still_sends_is_heard_out(new_api: NewApi) -> None:
    api = await new_api({"TREADLE_API_KEYS": "tk_0123456789abcdef"})
    large = [HOST, JSON, (b"content-length", b"1000000")]
    pieces = [piece(b" " * 500_000, more=True), piece(b" " * 500_000)]

    told = await call(api.app, "POST", "/jobs", pieces, large)

    assert (told.status, told.headers["connection"]) == (401, "close")
    assert told.messages[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_a_refused_client_that_has_sent_little_keeps_its_connection(new_api: NewApi) -> None:
    api = await new_api({"TREADLE_API_KEYS": "tk_0123456789abcdef"})
    told = await call(api.app, "POST", "/jobs", [], [HOST, JSON, (b"content-length", b"100")])
    assert told.status == 401
    assert "connection" not in told.headers


async def test_nobody_is_heard_out_for_ever(new_api: NewApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api = await new_api(SMALL)
    monkeypatch.setattr(front, "LINGER_SECONDS", 0.0)
    fields = [HOST, JSON, (b"transfer-encoding", b"chunked")]
    assert (await call(api.app, "POST", "/jobs", [piece(b" " * 1000, more=True)] * 100, fields)).status == 413


async def test_a_post_without_body_ignores_a_small_one(api: Api) -> None:
    job_id = await api.submit()
    assert (await call(api.app, "POST", f"/jobs/{job_id}/cancel", [piece(b"x" * 1025)])).status == 413
    assert (await api.client.get(f"/jobs/{job_id}")).json()["status"] == "queued"
    assert (await call(api.app, "POST", f"/jobs/{job_id}/cancel", [piece(b"x" * 1024)])).status == 200


async def test_a_large_body_is_read_beside_the_loop(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    to_thread = asyncio.to_thread

    async def spy(work: Callable[..., Any], *arguments: Any) -> Any:
        ran.append(getattr(work, "__name__", ""))
        return await to_thread(work, *arguments)

    monkeypatch.setattr(asyncio, "to_thread", spy)
    small = {"type": "GREET", "payload": {"name": "x" * 1000}}
    large = {"type": "GREET", "payload": {"name": "x" * 200_000}}
    key = {"Idempotency-Key": "k"}
    assert (await api.client.post("/jobs", json=small)).status_code == 201
    assert ran == []
    assert (await api.client.post("/jobs", json=large, headers=key)).status_code == 201
    assert {"read_submission", "fingerprint"} <= set(ran)


async def test_a_body_is_there_once_while_it_is_stored(api: Api) -> None:
    size, part = 4_000_000, 50_000
    store = FaultyStore(api.runtime.store)
    api.runtime.store = store
    gate = store.hold("insert")
    start, end = b'{"type":"GREET","payload":{"name":"', b'"}}'
    tracemalloc.start()
    try:
        pieces = (piece(data, more=data != end) for data in (start, *(b"x" * part for _ in range(size // part)), end))
        asking = asyncio.create_task(call(api.app, "POST", "/jobs", pieces))
        await gate.reached.wait()
        gc.collect()  # what only waits for the collector is not held
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        gate.open()
    assert held < 1.5 * size
    assert (await asking).status == 201


async def test_a_body_is_never_there_beside_its_pieces() -> None:
    size, part = 4_000_000, 50_000
    left = size

    async def receive() -> Message:
        nonlocal left
        left -= part
        return piece(b"x" * part, more=left > 0)

    request = Request({"headers": []}, receive)
    tracemalloc.start()
    try:
        body = await bodies.read_body(request, size)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(body) == size
    assert peak < 1.4 * size
