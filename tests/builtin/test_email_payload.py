from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.builtin.corpus import CONTROL_CHARACTERS, ENCODED_WORDS
from treadle import InvalidInput, Treadle
from treadle.jobtype import JobType

GOOD = {"to": "ada@example.com", "subject": "Hello", "body": "It works."}


@pytest.fixture
def email_send(new_app: Callable[..., Treadle]) -> JobType:
    jobtype = new_app(1).get("EMAIL_SEND")
    assert jobtype is not None
    return jobtype


def decoded(jobtype: JobType, **members: Any) -> Any:
    return jobtype.model.decode(json.dumps({**GOOD, **members}).encode())


def problems(jobtype: JobType, payload: object) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as caught:
        jobtype.model.decode(json.dumps(payload).encode())
    return [(problem.pointer, problem.code) for problem in caught.value.problems]


def test_missing_null_empty_and_numeric_members_are_refused_all_at_once(email_send: JobType) -> None:
    names = ["/to", "/subject", "/body"]

    assert problems(email_send, {}) == [(name, "required") for name in names]
    assert problems(email_send, {"to": None, "subject": None, "body": None}) == [(name, "type") for name in names]
    assert problems(email_send, {"to": 1, "subject": 2, "body": 3}) == [(name, "type") for name in names]
    assert problems(email_send, {"to": "", "subject": "", "body": "", "html": ""}) == [
        ("/to", "address"),
        ("/subject", "length"),
        ("/body", "length"),
        ("/html", "length"),
    ]


def test_bad_contents_of_all_members_are_told_at_once_and_never_repeated(email_send: JobType) -> None:
    secret = "s3cret\r\nBcc: victim"
    payload = {
        "to": ["ada@example.com", secret, "x"],
        "subject": secret * 50,
        "body": "b" * (1024 * 1024 + 1),
        "html": "\u00fc" * (512 * 1024 + 1),
    }

    with pytest.raises(InvalidInput) as caught:
        email_send.model.decode(json.dumps(payload).encode())

    assert [(problem.pointer, problem.code) for problem in caught.value.problems] == [
        ("/to/1", "control_character"),
        ("/to/2", "address"),
        ("/subject", "control_character"),
        ("/subject", "length"),
        ("/body", "length"),
        ("/html", "length"),
    ]
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["from", "replyTo", "reply-to", "cc", "bcc", "headers", "attachments", "on_ambiguous"])
def test_members_that_would_choose_the_sender_or_headers_are_unknown(email_send: JobType, name: str) -> None:
    assert problems(email_send, {**GOOD, name: "x"}) == [(f"/{name}", "unknown_field")]


@pytest.mark.parametrize("character", CONTROL_CHARACTERS, ids=ascii)
def test_no_control_character_is_taken_in_a_subject_or_an_address(email_send: JobType, character: str) -> None:
    for text in (f"a{character}", f"{character}a", f"a{character}Bcc: victim@example.org"):
        assert problems(email_send, {**GOOD, "subject": text}) == [("/subject", "control_character")]
        assert problems(email_send, {**GOOD, "to": f"{text}@example.com"}) == [("/to", "control_character")]
        assert problems(email_send, {**GOOD, "to": ["bob@example.com", text]}) == [("/to/1", "control_character")]


@pytest.mark.parametrize("subject", ENCODED_WORDS)
def test_no_encoded_word_is_taken_in_a_subject(email_send: JobType, subject: str) -> None:
    assert problems(email_send, {**GOOD, "subject": subject}) == [("/subject", "encoded_word")]


def test_a_subject_of_blanks_is_none(email_send: JobType) -> None:
    assert problems(email_send, {**GOOD, "subject": "  \u00a0"}) == [("/subject", "length")]


def test_the_edges_of_the_limits_are_allowed(email_send: JobType) -> None:
    payload = decoded(
        email_send,
        to=[f"r{n}@example.com" for n in range(50)],
        subject="\U0001f600" * 500,
        body="b" * (1024 * 1024),
        html="\u00fc" * (512 * 1024),
        onAmbiguous="park",
    )

    assert len(payload.recipients) == 50


def test_too_few_and_too_many_recipients_are_refused(email_send: JobType) -> None:
    assert problems(email_send, {**GOOD, "to": []}) == [("/to", "length")]
    assert problems(email_send, {**GOOD, "to": [f"r{n}@example.com" for n in range(51)]}) == [("/to", "too_many")]
    assert problems(email_send, {**GOOD, "subject": "s" * 501}) == [("/subject", "length")]
    assert problems(email_send, {**GOOD, "onAmbiguous": "hope"}) == [("/onAmbiguous", "one_of")]


def test_a_recipient_named_twice_is_one_recipient(email_send: JobType) -> None:
    to = [
        "ada@example.com",
        "ada@EXAMPLE.com",
        "b@b\u00fccher.example",
        "b@xn--bcher-kva.example",
        "Ada@example.com",
    ]

    assert decoded(email_send, to=to).recipients == (
        "ada@example.com",
        "b@xn--bcher-kva.example",
        "Ada@example.com",
    )


def test_a_body_may_hold_line_breaks_tabs_and_anything_else_a_person_writes(email_send: JobType) -> None:
    body = "a\r\nb\rc\n\td\u2028e\u0085<script>"

    assert decoded(email_send, body=body).body == body


def test_the_schema_tells_the_limits(email_send: JobType) -> None:
    [schema] = email_send.model.json_schema()["$defs"].values()
    members = schema["properties"]

    assert schema["required"] == ["to", "subject", "body"]
    assert set(members) == {"to", "subject", "body", "html", "onAmbiguous"}
    assert members["subject"]["maxLength"] == 500
    address = {"type": "string", "format": "email"}
    assert members["to"]["anyOf"] == [address, {"type": "array", "minItems": 1, "maxItems": 50, "items": address}]
    assert members["onAmbiguous"]["enum"] == ["park", "retry"]


def test_three_attempts_ten_seconds_apart_at_first(email_send: JobType) -> None:
    assert (email_send.retry.attempts, email_send.retry.base_seconds) == (3, 10)
    assert email_send.is_async
