from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.builders import NOW
from tests.builtin.life import ID
from treadle.builtin.message import build

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=400)


def built(**members: Any) -> bytes:
    given: dict[str, Any] = {
        "job_id": ID,
        "created_at": NOW,
        "sender": "app@example.com",
        "to": ["ada@example.com"],
        "subject": "Hello",
        "body": "It works.\n",
        "html": None,
    }
    return build(**{**given, **members})


def parsed(message: bytes) -> EmailMessage:
    return cast(EmailMessage, message_from_bytes(message, policy=cast(Any, default)))


def as_lines(text: str) -> list[bytes]:
    return text.encode().splitlines()


def text_of(part: EmailMessage) -> list[bytes]:
    return cast(bytes, part.get_payload(decode=True)).splitlines()


def test_a_plain_message_to_the_byte() -> None:
    message = built(to=["ada@example.com", "bob@example.org"], body="First\n.\n..two\nlast")

    assert message == (
        b"Date: Mon, 04 May 2026 12:00:00 +0000\r\n"
        b"From: app@example.com\r\n"
        b"To: ada@example.com, bob@example.org\r\n"
        b"Subject: Hello\r\n"
        b"Message-ID: <017f22e2-79b0-7cc3-98c4-dc0c0c07398f@example.com>\r\n"
        b"Auto-Submitted: auto-generated\r\n"
        b'Content-Type: text/plain; charset="utf-8"\r\n'
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"MIME-Version: 1.0\r\n"
        b"\r\n"
        b"First\r\n.\r\n..two\r\nlast\r\n"
    )


def test_html_is_an_alternative_beside_the_text_with_a_boundary_of_the_job() -> None:
    message = parsed(built(body="Text <b>\n", html="<p>H&auml; – ü</p>"))

    assert message.get_content_type() == "multipart/alternative"
    assert message.get_boundary() == f"=_{ID}"
    text, html = cast(list[EmailMessage], message.get_payload())
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert text_of(text) == [b"Text <b>"]
    assert html.get_content().strip() == "<p>H&auml; – ü</p>"


@given(TEXT, st.none() | TEXT)
def test_text_arrives_as_it_was_in_lines_that_every_relay_carries(body: str, html: str | None) -> None:
    message = built(body=body, html=html)

    assert message == built(body=body, html=html)
    lines = message.split(b"\r\n")
    assert lines[-1] == b""
    assert all(len(line) <= 998 and b"\r" not in line and b"\n" not in line for line in lines)
    assert message.isascii()
    # All of the control characters but TAB travel encoded.
    assert not message.translate(None, bytes(range(0x20, 0x7F)) + b"\t\r\n")
    read = parsed(message)
    parts = [read] if html is None else cast(list[EmailMessage], read.get_payload())
    assert [text_of(part) for part in parts] == [as_lines(text) for text in (body, html) if text is not None]


@pytest.mark.parametrize(
    "body", ["a\n", "a\n\n\n", "\n", ".\n", ".", "a\r\nb\r\n", "a\rb", "From x\n", "x" * 5_000, "\n.\n"]
)
def test_awkward_line_ends_and_lines_survive(body: str) -> None:
    assert text_of(parsed(built(body=body))) == as_lines(body)


def test_mostly_ascii_stays_readable_and_other_alphabets_take_base64() -> None:
    encodings = [
        parsed(built(body=body))["Content-Transfer-Encoding"]
        for body in ("plain\n", "na\u00efve and more of it\n", "\u4f60\u597d\n", "\u00fc mostly plain " * 20_000)
    ]

    assert encodings == ["7bit", "quoted-printable", "base64", "quoted-printable"]


def test_the_date_is_the_jobs_in_utc() -> None:
    created_at = datetime(2026, 5, 4, 14, 0, tzinfo=timezone(timedelta(hours=2)))

    assert built(created_at=created_at) == built(created_at=NOW)


@given(st.text(st.sampled_from("ab. -=\tF\r\n"), max_size=200))
@example("")
@example("\n")
@example("From here\r\n.\r\n")
def test_a_plain_text_is_written_as_the_library_would(body: str) -> None:
    content = EmailMessage(SMTP.clone(cte_type="7bit"))
    content.set_content(body, charset="utf-8", cte="7bit")

    assert built(body=body).endswith(b"\r\nAuto-Submitted: auto-generated\r\n" + content.as_bytes())
