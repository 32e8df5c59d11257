"""A message becomes MailHog's shape, with what people read decoded."""

from __future__ import annotations

from email.message import EmailMessage

import pytest

from tests.mailbox.post import a_letter, a_message
from treadle.mailbox.message import as_mailhog


def test_the_shape_is_mailhogs() -> None:
    raw = b"From: The App <app@example.com>\r\nTo: reader@example.org\r\nSubject: Hello\r\n\r\nIt works.\r\n"

    shape = as_mailhog(a_message(raw, recipients=["reader@example.org", "hidden@example.org"]))

    identity = shape.pop("ID")
    assert len(identity) == 32
    assert shape == {
        "From": {"Relays": None, "Mailbox": "app", "Domain": "example.com", "Params": ""},
        "To": [
            {"Relays": None, "Mailbox": "reader", "Domain": "example.org", "Params": ""},
            {"Relays": None, "Mailbox": "hidden", "Domain": "example.org", "Params": ""},
        ],
        "Content": {
            "Headers": {
                "From": ["The App <app@example.com>"],
                "To": ["reader@example.org"],
                "Subject": ["Hello"],
            },
            "Body": "It works.",
            "Size": len(raw),
            "MIME": None,
        },
        "Created": "2026-03-04T12:00:00.000Z",
        "MIME": None,
        "Raw": {
            "From": "app@example.com",
            "To": ["reader@example.org", "hidden@example.org"],
            "Data": raw.decode(),
            "Helo": "client.example.com",
        },
    }


@pytest.mark.parametrize("subject", ["Grüße", "日本語の件名" * 20, "emoji 🎉", "plain", "a=?b?= c", "x" * 500])
def test_a_subject_comes_back_as_it_was_meant(subject: str) -> None:
    shape = as_mailhog(a_message(a_letter(subject=subject)))

    assert shape["Content"]["Headers"]["Subject"] == [subject]


@pytest.mark.parametrize(
    ("received", "read"),
    [
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        (b"=?UTF-8?B?R3LDvMOfZQ==?=", "Grüße"),
        (b"=?iso-8859-1?Q?Gr=FC=DFe_an_alle?=", "Grüße an alle"),
        (b"=?utf-8*de?q?Gr=C3=BC?=", "Grü"),
        (b"=?utf-8?q?Gr=C3?=\r\n =?utf-8?q?=BC=C3=9F?=", "Grüß"),
        (b"=?utf-8?q?a?= =?utf-8?q?b?= c", "ab c"),
        (b"=?utf-8?q?a?= =?iso-8859-1?q?=FC?=", "aü"),
        (b'"=?utf-8?q?J=C3=BCrgen?=" <j@example.org>', '"Jürgen" <j@example.org>'),
        (b"folded\r\n\tand on", "folded\tand on"),
        ("schon Grüße".encode(), "schon Grüße"),
        (b"Gr\xfc\xdfe in Latin-1", "Grüße in Latin-1"),
        (b"=?nonsense?q?caf=C3=A9?=", "café"),
        (b"=?hex?q?6869?=", "6869"),
        (b"=?utf-8?q?broken", "=?utf-8?q?broken"),
        (b"=?utf-8?b?R3LDvM?=", "Grü"),
    ],
)
def test_a_header_is_decoded(received: bytes, read: str) -> None:
    shape = as_mailhog(a_message(b"Subject: " + received + b"\r\n\r\n"))

    assert shape["Content"]["Headers"]["Subject"] == [read]


def test_header_names_are_found_whatever_their_case() -> None:
    raw = (
        b"SUBJECT: one\r\nto: a@example.org\r\nTO: b@example.org\r\n"
        b"x-Odd: 1\r\nX-ODD: 2\r\nMessage-Id: <x@example.com>\r\n\r\n"
    )

    headers = as_mailhog(a_message(raw))["Content"]["Headers"]

    assert headers == {
        "Subject": ["one"],
        "To": ["a@example.org", "b@example.org"],
        "x-Odd": ["1", "2"],
        "Message-ID": ["<x@example.com>"],
    }


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-15", "windows-1252", "utf-16", "koi8-u"])
@pytest.mark.parametrize("transfer", ["quoted-printable", "base64"])
def test_the_body_of_a_text_is_decoded(charset: str, transfer: str) -> None:
    text = "Привіт, світе" if charset == "koi8-u" else "Grüße für 5 €"
    letter = EmailMessage()
    letter["Subject"] = "x"
    letter.set_content(text.encode(charset, "replace"), "text", "plain", cte=transfer)
    letter.set_param("charset", charset)
    raw = letter.as_bytes().replace(b"\n", b"\r\n")

    shape = as_mailhog(a_message(raw))

    assert shape["Content"]["Body"].rstrip("\r\n") == text
    assert shape["Raw"]["Data"] == raw.decode()


def test_alternatives_are_parts_with_their_text_decoded() -> None:
    shape = as_mailhog(a_message(a_letter(text="Grüße\n", html="<p>Grüße</p>\n")))

    plain, html = shape["MIME"]["Parts"]
    assert plain["Body"].strip() == "Grüße"
    assert html["Body"].strip() == "<p>Grüße</p>"
    assert html["Headers"]["Content-Type"] == ['text/html; charset="utf-8"']
    assert (plain["MIME"], html["MIME"]) == (None, None)
    assert shape["Content"]["MIME"] is None
    assert shape["Content"]["Body"].startswith("--==")


def test_an_attachment_stays_as_it_was_sent() -> None:
    letter = EmailMessage()
    letter.set_content("see attached\n")
    letter.add_attachment(b"\x00\x01\x02", "application", "octet-stream", filename="three bytes.bin")
    raw = letter.as_bytes().replace(b"\n", b"\r\n")

    _, attachment = as_mailhog(a_message(raw))["MIME"]["Parts"]

    assert attachment["Body"].strip() == "AAEC"


def test_nested_multiparts_are_nested_parts() -> None:
    letter = EmailMessage()
    letter.set_content("text\n")
    letter.add_alternative("<p>html</p>\n", subtype="html")
    letter.add_attachment(b"a,b\r\n", "text", "csv", filename="t.csv")
    raw = letter.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    shape = as_mailhog(a_message(raw))

    alternatives, table = shape["MIME"]["Parts"]
    assert [part["Body"].strip() for part in alternatives["MIME"]["Parts"]] == ["text", "<p>html</p>"]
    assert table["Body"].strip() == "a,b"


def test_a_message_without_headers_is_all_body() -> None:
    shape = as_mailhog(a_message(b"just a line\r\nX: not a header\r\n"))

    assert shape["Content"]["Headers"] == {}
    assert shape["Content"]["Body"] == "just a line\r\nX: not a header"


def test_bytes_that_are_no_text_can_be_had_back_from_raw_data() -> None:
    raw = b"Subject: x\r\n\r\n" + bytes(range(256)) + b"\r\n"

    assert as_mailhog(a_message(raw))["Raw"]["Data"].encode("latin-1") == raw


@pytest.mark.parametrize(
    ("address", "mailbox", "domain"),
    [("", "", ""), ("root", "root", ""), ('"a@b"@example.com', '"a@b"', "example.com"), ("\udcff@x", "\ufffd", "x")],
)
def test_an_odd_address_is_split_all_the_same(address: str, mailbox: str, domain: str) -> None:
    path = as_mailhog(a_message(sender=address))["From"]

    assert (path["Mailbox"], path["Domain"]) == (mailbox, domain)
