"""Every row of the matrix of bad input against a real server: a clear 4xx that repeats nothing and stores nothing."""

from __future__ import annotations

import httpx
import pytest

from tests.security import matrix_envelope, matrix_payloads
from tests.security.row import CANARY, Row
from tests.security.target import Target

ANSWER_FIELDS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
MEMBERS = {"type", "title", "status", "detail", "instance", "errors", "error"}


def check_problem(answer: httpx.Response, status: int, problem: str) -> None:
    """The shape that every error has (RFC 9457), and nothing of the request or of our own insides in it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert ANSWER_FIELDS.items() <= answer.headers.items()
    for word in (CANARY, "Traceback", "SELECT", "INSERT", ".py", "asyncpg", "sqlite"):
        assert word not in answer.text
        assert word not in str(answer.headers)
    if answer.request.method == "HEAD":
        return
    told = answer.json()
    assert told.keys() == MEMBERS
    assert (told["status"], told["type"], told["error"]) == (status, f"/problems/{problem}", told["detail"])
    assert told["instance"] == f"/requests/{answer.headers['x-request-id']}"


@pytest.mark.parametrize("row", [*matrix_envelope.ROWS, *matrix_payloads.ROWS], ids=str)
def test_bad_input_is_refused_with_everything_that_is_wrong(api: Target, row: Row) -> None:
    answer = api.send(row.method, row.path, content=row.body, headers=row.headers)

    check_problem(answer, row.status, row.problem)
    assert row.answered_with.items() <= answer.headers.items()
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    if row.errors:
        assert {(error["pointer"], error["code"]) for error in answer.json()["errors"]} == row.errors
    assert api.count() == 0


def test_and_nothing_is_left_of_any_of_them(api: Target) -> None:
    assert api.stack.rows() == set()
