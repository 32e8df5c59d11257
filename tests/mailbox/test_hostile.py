"""Whatever a message is made of, it is kept, listed and shown; nothing raises and nothing takes long."""

from __future__ import annotations

import html
import time
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mailbox.post import a_box, a_message
from treadle.mailbox.app import create_app
from treadle.mailbox.message import as_mailhog, matches
from treadle.mailbox.mime import MAX_DEPTH, MAX_PARTS

MIB = 1024 * 1024
SLOW_SECONDS = 5.0
"""A limit that quadratic work on these sizes misses by far, and linear work meets on a slow machine."""


def shown(raw: bytes, *, sender: str = "a@example.com") -> dict[str, Any]:
    """The message as a JSON client reads it."""
    message = a_message(raw, sender=sender)
    matches(message, "containing", "needle")
    read: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(as_mailhog(message)))
    return read


fragments = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b": ",
        b";",
        b'"',
        b"--b",
        b"--b--",
        b"--b\r\n",
        b"Subject: ",
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"Content-Type: multipart/mixed; boundary*0*=utf-8''b\r\n",
        b"Content-Type: text/html; charset=utf-7\r\n",
        b"Content-Type: text/plain; charset*=x\x00'y'z\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Transfer-Encoding: quoted-printable\r\n",
        b"Content-Disposition: attachment; filename*=utf-16''%D8%00\r\n",
        b"=?utf-8?q?=ED=A0=80?=",
        b"=?utf-7?q?+2AA-?=",
        b"=?utf-16?b?2AA?=",
        b"+2AA-",
        b"=D8=00",
        b"\xed\xa0\x80",
        b"\x00",
    ]
)


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_any_bytes_can_be_read(raw: bytes) -> None:
    shown(raw)


@given(st.lists(st.one_of(fragments, st.binary(max_size=12)), max_size=40).map(b"".join))
@settings(max_examples=500, deadline=None)
def test_any_broken_mime_can_be_read(raw: bytes) -> None:
    shape = shown(raw)

    assert shape["Content"]["Size"] == len(raw)


@given(st.lists(st.one_of(fragments, st.binary(max_size=12)), max_size=30).map(b"".join), st.binary(max_size=40))
@settings(max_examples=100, deadline=None)
async def test_any_message_has_its_pages(raw: bytes, sender: bytes) -> None:
    message = a_message(raw, sender=sender.decode("utf-8", "surrogateescape"))
    transport = httpx.ASGITransport(app=create_app(a_box(message)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/")).status_code == 200
        assert (await client.get(f"/messages/{message.id}")).status_code == 200
        assert (await client.get(f"/messages/{message.id}/html")).status_code in (200, 404)
        assert (await client.get(f"/messages/{message.id}/raw")).content == raw


def multipart(parts: list[bytes]) -> bytes:
    body = b"".join(b"--b\r\n\r\n" + part + b"\r\n" for part in parts)
    return b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + body + b"--b--\r\n"


def test_of_ten_thousand_parts_the_first_are_split_off() -> None:
    shape = shown(multipart([b"part %d" % number for number in range(10_000)]))

    parts = shape["MIME"]["Parts"]
    assert len(parts) == MAX_PARTS
    assert parts[0]["Body"] == "part 0"
    assert "part 9999" in parts[-1]["Body"]


def test_parts_are_split_to_a_depth_and_no_deeper() -> None:
    head = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(5_000))
    shape = shown(head + b"\r\nthe core\r\n")

    depth, part = 0, shape
    while part["MIME"] is not None:
        depth, part = depth + 1, part["MIME"]["Parts"][0]
    assert depth == MAX_DEPTH
    assert "the core" in part["Body"]


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"Content-Type: multipart/mixed\r\n\r\nno boundary\r\n", "no boundary"),
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\nno delimiter\r\n", "no delimiter"),
        (b"Content-Type: text/plain; charset=klingon\r\n\r\nqapla\r\n", "qapla"),
        (b"Content-Type: text/plain; charset=idna\r\n\r\ntext\r\n", "text"),
        (b"Content-Type: text/plain; charset=zip\r\n\r\ntext\r\n", "text"),
        (b"Content-Type: text/plain; charset=utf-8\r\n\r\n\xff\r\n", "\ufffd"),
        (b"Content-Type: text/plain; charset=ascii\r\n\r\n\xc3\xbc\r\n", "ü"),
        (b"Content-Type: ;;;=\r\n\r\ntext\r\n", "text"),
        (b"Content-Transfer-Encoding: base64\r\n\r\nZ\x00m9v!YmFy===\r\n", "foobar"),
        (b"Content-Transfer-Encoding: base64\r\n\r\nA\r\n", ""),
        (b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=ZZ=\r\n", "=ZZ"),
        (b"Content-Transfer-Encoding: rot13\r\n\r\ntext\r\n", "text"),
    ],
)
def test_broken_mime_degrades_to_what_can_be_read(raw: bytes, body: str) -> None:
    assert shown(raw)["Content"]["Body"] == body


def test_a_part_that_is_never_closed_is_a_part() -> None:
    shape = shown(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n")

    assert [part["Body"] for part in shape["MIME"]["Parts"]] == ["one", "two"]


def test_a_boundary_that_begins_like_another_is_not_mistaken() -> None:
    shape = shown(
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\ninner\r\n--bb--\r\n"
        b"--b\r\n\r\nnot --b\r\n--b--\r\nepilogue\r\n"
    )

    first, second = shape["MIME"]["Parts"]
    assert [part["Body"] for part in first["MIME"]["Parts"]] == ["inner"]
    assert second["Body"] == "not --b"


HEAVY = {
    "blank lines": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"\r\n" * (4 * MIB),
    "delimiters": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n" * MIB,
    "near delimiters": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b" * (2 * MIB),
    "header lines": b"A:\r\n" * MIB,
    "one folded header": b"Subject: x\r\n" + b" y\r\n" * MIB,
    "encoded word openings": b"Subject: " + b"=?a?q?" * 300_000 + b"\r\n\r\n",
    "encoded words": b"Subject: " + b"=?utf-8?q?=C3?= " * 100_000 + b"\r\n\r\n",
    "quoted semicolons": b'Content-Type: text/plain; x="' + b";" * MIB + b"\r\n\r\n",
    "parameters": b"Content-Type: text/plain" + b";a*0=b" * 100_000 + b"\r\n\r\n",
    "parts with hard parameters": multipart([b'Content-Type: text/plain; x="' + b";" * 1_000 + b"\r\n\r\n"] * 5_000),
    "quoted-printable": b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=" * (4 * MIB),
    "base64": b"Content-Transfer-Encoding: base64\r\n\r\n" + b"=A" * (4 * MIB),
    "punycode": b"Content-Type: text/plain; charset=punycode\r\n\r\n" + b"a-" * MIB,
    "utf-7": b"Content-Type: text/plain; charset=utf-7\r\n\r\n" + b"+2AA-" * MIB,
}


@pytest.mark.parametrize("kind", HEAVY)
def test_a_message_made_to_be_slow_is_not(kind: str) -> None:
    before = time.perf_counter()

    shown(HEAVY[kind])

    assert time.perf_counter() - before < SLOW_SECONDS


async def test_markup_and_control_characters_stay_text_on_every_page() -> None:
    attack = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> \x1b[31m \x00 \u202e $base"
    raw = (
        f"Subject: {attack}\r\nFrom: {attack} <a@example.com>\r\nX-Odd: {attack}\r\n"
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        f"--b\r\n\r\n{attack}\r\n"
        "--b\r\nContent-Type: <b>/<i>\r\n"
        'Content-Disposition: attachment; filename="<u>x</u>.exe"\r\n\r\nx\r\n--b--\r\n'
    ).encode()
    message = a_message(raw, recipients=[attack])
    transport = httpx.ASGITransport(app=create_app(a_box(message)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        pages = [
            (await client.get(path)).text
            for path in ("/", f"/messages/{message.id}", "/", "/?q=%3Cscript%3E", "/?q=%3Cscript%3Enone")
        ]

    for page in pages:
        assert "<script" not in page
        assert "<img src=x" not in page
        assert "<u>" not in page
        assert "\x1b" not in page
        assert "\x00" not in page
    assert html.escape("<script>alert(1)</script>") in pages[0]
    assert "␛[31m" in pages[1]
    assert "$base" in pages[1]
