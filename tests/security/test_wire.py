"""Bytes that are no request, or one that two hops could read differently: one answer, and the connection is closed."""

from __future__ import annotations

import json
import socket

import pytest

from tests.security.matrix_wire import HOST, KEY, LIVE, POST, ROWS, Wire
from tests.security.target import Target

SECOND = b"POST /jobs HTTP/1.1\r\n" + HOST + KEY + b"Content-Type: application/json\r\nContent-Length: 57\r\n\r\n"
SMUGGLED = SECOND + b'{"type":"CSV_EXPORT","payload":{"data":[{"smuggled":1}]}}'


def connection(target: Target) -> socket.socket:
    return socket.create_connection(("127.0.0.1", target.stack.api_port), timeout=30)


def everything(talk: socket.socket) -> bytes:
    """What comes until the other end has no more to say."""
    told = b""
    while piece := talk.recv(65_536):
        told += piece
    return told


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_is_no_clear_request_has_one_answer_and_ends_the_connection(api: Target, row: Wire) -> None:
    with connection(api) as talk:
        talk.sendall(row.sent)
        told = everything(talk)

    head, _, body = told.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % row.status), told
    assert told.count(b"HTTP/1.1 ") == 1
    fields = head.lower()
    assert b"content-type: application/problem+json" in fields
    assert b"cache-control: no-store" in fields
    assert b"connection: close" in fields
    assert json.loads(body)["type"] == f"/problems/{row.problem}"
    assert api.count() == 0


@pytest.mark.parametrize("row", [row for row in ROWS if row.id == "I035"], ids=str)
def test_what_stands_behind_it_is_never_a_request(api: Target, row: Wire) -> None:
    with connection(api) as talk:
        talk.sendall(row.sent + SMUGGLED)
        told = everything(talk)
    assert b" 201 " not in told
    assert api.count() == 0


def test_slow_headers_and_bodies_hold_up_nobody(api: Target) -> None:
    slow = [connection(api) for _ in range(200)]
    try:
        for number, talk in enumerate(slow):
            talk.sendall(LIVE if number % 2 else POST + b"Content-Length: 1000\r\n\r\n{")
        assert api.count() == 0
        assert api.client.get("/live").status_code == 200
    finally:
        for talk in slow:
            talk.close()


def test_whoever_hangs_up_at_any_point_leaves_no_line_in_the_log(api: Target) -> None:
    before = len(api.stack.log_lines())
    request = POST + b"Content-Length: 1000\r\n\r\n{"
    for length in range(0, len(request), 7):
        with connection(api) as talk:
            talk.sendall(request[:length])
    assert api.client.get("/live").status_code == 200
    assert [line for line in api.stack.log_lines()[before:] if line["level"] in {"warning", "error"}] == []
