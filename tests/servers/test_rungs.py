"""The three rungs differ in two settings, and a test that leaves one out says why."""

from __future__ import annotations

import pytest

from tests.servers.rungs import RUNGS, rungs_of
from treadle.settings import parse_settings


def test_they_differ_in_two_settings() -> None:
    names = []
    for rung in RUNGS.values():
        with rung() as settings:
            names.append(set(settings))
            parse_settings(settings)
    assert names == [set(), {"DATABASE_URL"}, {"DATABASE_URL", "REDIS_URL"}]


def test_a_test_runs_on_each(rung: str, request: pytest.FixtureRequest) -> None:
    assert rung in RUNGS
    assert rung in request.node.name


@pytest.mark.only_on("sqlite", reason="it is about this marker")
def test_a_test_may_be_for_one(rung: str) -> None:
    assert rung == "sqlite"


@pytest.mark.parametrize("mark", [pytest.mark.only_on("sqlite"), pytest.mark.only_on("sqllite", reason="no such rung")])
def test_leaving_one_out_without_a_reason_or_by_a_wrong_name_is_an_error(mark: pytest.MarkDecorator) -> None:
    with pytest.raises(AssertionError, match="only_on"):
        rungs_of(mark.mark)
