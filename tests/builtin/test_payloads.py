"""What the built-in types take and refuse, and what a cell becomes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from treadle import InvalidInput
from treadle.builtin import MailServer, create_app
from treadle.builtin.csv_text import escaped

APP = create_app(MailServer("127.0.0.1", 1025, "treadle@example.com"))
MAIL = {"to": "ada@example.com", "subject": "s", "body": "b"}


def problems(type_name: str, payload: Any) -> set[tuple[str, str]]:
    jobtype = APP.get(type_name)
    assert jobtype is not None
    try:
        jobtype.model.decode(json.dumps(payload).encode())
    except InvalidInput as error:
        assert "canary" not in str(error)
        return {(problem.pointer, problem.code) for problem in error.problems}
    return set()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, set()),
        ({"to": ["ada@example.com", "bob@example.org"], "html": "<p>x</p>", "onAmbiguous": "park"}, set()),
        ({"to": "ada@exämple.com"}, set()),
        ({"to": "ada@straße.example.com"}, {("/to", "address")}),
        ({"to": ""}, {("/to", "address")}),
        ({"to": []}, {("/to", "length")}),
        ({"to": ["a@example.com"] * 51}, {("/to", "too_many")}),
        ({"to": "Ada <ada@example.com>"}, {("/to", "address")}),
        ({"to": "=?utf-8?q?canary?= <a@example.com>"}, {("/to", "address")}),
        ({"to": "üser@example.com"}, {("/to", "address")}),
        ({"to": ["ada@example.com", "no"]}, {("/to/1", "address")}),
        ({"to": "ada@example.com\r\nBcc: canary@example.com"}, {("/to", "control_character")}),
        ({"to": "ada@example.com\n"}, {("/to", "control_character")}),
        ({"subject": ""}, {("/subject", "length")}),
        ({"subject": "x" * 501}, {("/subject", "length")}),
        ({"subject": "a\r\nBcc: canary@example.com"}, {("/subject", "control_character")}),
        ({"subject": "a\u2028b"}, {("/subject", "control_character")}),
        ({"subject": "a\x85b"}, {("/subject", "control_character")}),
        ({"subject": "=?utf-8?q?x=0d=0aBcc:=20canary@example.com?="}, {("/subject", "encoded_word")}),
        ({"subject": "a =?utf-8?b?Y2FuYXJ5?= b"}, {("/subject", "encoded_word")}),
        ({"body": "x" * (1024 * 1024 + 1)}, {("/body", "length")}),
        ({"from": "canary@example.com"}, {("/from", "unknown_field")}),
        ({"to": "no", "subject": ""}, {("/to", "address"), ("/subject", "length")}),
        (
            {"to": 5, "subject": "a\r\nb", "body": "", "x": 1},
            {("/to", "type"), ("/subject", "control_character"), ("/body", "length"), ("/x", "unknown_field")},
        ),
    ],
)
def test_an_email_is_checked_strictly_and_all_at_once(change: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    assert problems("EMAIL_SEND", {**MAIL, **change}) == expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"data": []}, set()),
        ({"data": [{}]}, set()),
        ({}, {("/data", "required")}),
        ({"data": None}, {("/data", "type")}),
        ({"data": {}}, {("/data", "type")}),
        ({"data": [{"a": 1}, 2, "x"]}, {("/data/1", "type"), ("/data/2", "type")}),
        ({"data": [1], "escapeFormulas": 1}, {("/data/0", "type"), ("/escapeFormulas", "type")}),
        ({"data": [], "filename": "../../canary"}, {("/filename", "unknown_field")}),
        ({"data": [{str(n): n for n in range(10_001)}]}, {("/data", "too_many")}),
        ({"data": [{str(n): n for n in range(10_000)}, *[{}] * 10_000]}, {("/data", "too_many")}),
    ],
)
def test_an_export_is_checked_row_by_row(payload: Any, expected: set[tuple[str, str]]) -> None:
    assert problems("CSV_EXPORT", payload) == expected


@pytest.mark.parametrize(
    "text", ["=1", "@x", "\t=", "\r", "+cmd", "-cmd", "＝1", "＠x", " =1", "\ufeff=1", '"=1', "-2+3"]
)
def test_what_a_spreadsheet_would_run_gets_a_quote(text: str) -> None:
    assert escaped(text) == "'" + text


@pytest.mark.parametrize("text", ["", "a", "-5", "+49 30 1", "-1.5e3", "1-2", "a=b", "'x"])
def test_what_is_harmless_is_left_alone(text: str) -> None:
    assert escaped(text) == text
