"""The table of errors."""

from __future__ import annotations

import json

import pytest

from treadle import errors
from treadle.errors import InvalidInput, MalformedJson, Problem, TreadleError
from treadle.web import problems
from treadle.web.problems import INTERNAL_ERROR, Kind, Refused, kind_of, problem_response

KINDS = [value for value in vars(problems).values() if isinstance(value, Kind)]
NOT_FOR_CLIENTS = {
    "TreadleError",
    "Conflict",
    "LeaseLost",
    "StoreRefused",
    "RegistrationError",
    "SettingsError",
    "Unauthorized",
    "UnexpectedAnswer",
    "NotFinished",
}
ERRORS = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, TreadleError)]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_has_a_row_or_is_not_for_clients(error: type[TreadleError]) -> None:
    made = error([Problem("", "x", "x")]) if issubclass(error, InvalidInput) else error.__new__(error)
    assert (kind_of(made) is INTERNAL_ERROR) == (error.__name__ in NOT_FOR_CLIENTS)


def test_a_slug_names_one_status() -> None:
    assert len({kind.slug for kind in KINDS}) == len({(kind.slug, kind.status) for kind in KINDS})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.slug)
def test_every_kind_makes_a_whole_problem(kind: Kind) -> None:
    response = problem_response(Refused(kind, "told", {"X": "y"}), "id")
    body = json.loads(bytes(response.body))
    assert response.status_code == body["status"] == kind.status
    assert list(body) == ["type", "title", "status", "detail", "instance", "errors", "error"]
    assert body["title"] == kind.title
    assert body["error"] == body["detail"] == (kind.detail or "told")
    assert (body["instance"], body["errors"]) == ("/requests/id", [])
    assert response.headers["x"] == "y"


def test_a_detail_speaks_of_the_first_few_and_counts_the_rest() -> None:
    found = [Problem(f"/{n}", "x", "expected y") for n in range(10)]
    body = json.loads(bytes(problem_response(InvalidInput(found), "id").body))
    assert body["detail"] == "/0: expected y; /1: expected y; /2: expected y; and 7 more"
    assert len(body["errors"]) == 10
    one = json.loads(bytes(problem_response(MalformedJson([Problem("", "x", "no JSON")]), "id").body))
    assert one["detail"] == "no JSON"


def test_any_other_exception_is_internal() -> None:
    body = json.loads(bytes(problem_response(ValueError("secret"), "id").body))
    assert (body["status"], body["type"]) == (500, "/problems/internal-error")
    assert "secret" not in str(body)
