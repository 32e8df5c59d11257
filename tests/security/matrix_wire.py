"""The matrix of bad input, part three: what only shows in the bytes on the connection."""

from __future__ import annotations

from typing import NamedTuple

from tests.security.target import KEYS


class Wire(NamedTuple):
    """What is sent, and the status and problem it is answered with before the connection is closed."""

    id: str
    name: str
    sent: bytes
    status: int
    problem: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.id}-{self.name.replace(' ', '-')}"


HOST = b"Host: localhost\r\n"
KEY = b"Authorization: Bearer " + KEYS[0].encode() + b"\r\n"
POST = b"POST /jobs HTTP/1.1\r\n" + HOST + KEY + b"Content-Type: application/json\r\n"
LIVE = b"GET /live HTTP/1.1\r\n" + HOST


def garbled(number: str, name: str, sent: bytes, why: str = "") -> Wire:
    """What is no HTTP, or could be read in two ways."""
    return Wire(number, name, sent, 400, "malformed-http", why)


ROWS = [
    Wire("I033", "ten gigabytes announced", POST + b"Content-Length: 10000000000\r\n\r\n", 413, "too-large"),
    Wire(
        "I034",
        "endless chunks",
        POST + b"Transfer-Encoding: chunked\r\n\r\n" + (b"100000\r\n" + b" " * 0x100000 + b"\r\n") * 11,
        413,
        "too-large",
    ),
    garbled("I035", "length and chunks", POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    garbled("I035", "two lengths", POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"),
    garbled("I035", "a negative length", POST + b"Content-Length: -1\r\n\r\n"),
    garbled("I035", "a length with a sign", POST + b"Content-Length: +5\r\n\r\nabcde"),
    garbled("I035", "a hexadecimal length", POST + b"Content-Length: 0x10\r\n\r\n"),
    garbled("I035", "a length in two values", POST + b"Content-Length: 5, 5\r\n\r\nabcde"),
    garbled("I035", "a chunk of no size", POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    garbled("I035", "chunked twice spelled badly", POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    garbled("I035", "blank before the colon", POST + b"Content-Length : 0\r\n\r\n"),
    garbled("I035", "a folded field", POST + b"X: a\r\n b\r\n\r\n"),
    garbled("I037", "no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    garbled("I037", "HTTP 2 without asking", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Wire("I037", "HTTP 0.9", b"GET /live\r\n\r\n", 400, "invalid-request", "it names no host"),
    garbled("I037", "another protocol", b"EHLO example.com\r\n"),
    garbled("I037", "NUL in a field", LIVE + b"X: a\x00b\r\n\r\n"),
    garbled("I037", "a lone line feed in a field", LIVE + b"X: a\rb\r\n\r\n"),
    garbled("I037", "a field without a colon", LIVE + b"no colon\r\n\r\n"),
    garbled("I044", "an unknown method", b"BREW /jobs HTTP/1.1\r\n" + HOST + b"\r\n"),
    garbled("I044", "CONNECT", b"CONNECT example.com:443 HTTP/1.1\r\n" + HOST + b"\r\n"),
    Wire("I042", "a field of 64 kB", LIVE + b"X: " + b"y" * 64_000 + b"\r\n\r\n", 431, "headers-too-large"),
    Wire("I042", "500 fields", LIVE + b"X: y\r\n" * 500 + b"\r\n", 431, "headers-too-large"),
    Wire("I042", "a header without end", LIVE + b"X: y\r\n" * 80_000, 431, "headers-too-large"),
    Wire(
        "I043",
        "an address of 64 kB",
        b"GET /" + b"x" * 64_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        414,
        "address-too-long",
    ),
    Wire("I046", "no host", b"GET /live HTTP/1.1\r\nConnection: close\r\n\r\n", 400, "invalid-request"),
    Wire(
        "I046",
        "two hosts",
        b"GET /live HTTP/1.1\r\nConnection: close\r\n" + HOST + b"Host: x\r\n\r\n",
        400,
        "invalid-request",
    ),
    *(
        Wire(
            "S23",
            f"host {host.decode()}",
            b"GET /live HTTP/1.1\r\nConnection: close\r\nHost: " + host + b"\r\n\r\n",
            421,
            "misdirected-request",
        )
        for host in (b"evil.example", b"localhost.evil.example", b"127.0.0.1.nip.io", b"localhost@evil.example", b"")
    ),
    Wire(
        "I117",
        "an address that names a host",
        b"GET //evil.example/jobs HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n",
        404,
        "not-found",
    ),
]
