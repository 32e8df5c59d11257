"""One line of a kind a minute, and the last line about how things stand is true."""

from __future__ import annotations

import logging

import pytest

from tests.waiting import eventually
from treadle.dispatch.sparing import Sparing

LOGGER = logging.getLogger("treadle.hints")


@pytest.fixture
def quiet_seconds(monkeypatch: pytest.MonkeyPatch) -> float:
    """A minute of two tenths of a second."""
    monkeypatch.setattr("treadle.dispatch.sparing.QUIET_SECONDS", 0.2)
    return 0.2


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@pytest.fixture(autouse=True)
def level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


async def test_what_comes_and_goes_is_told_once_each_way(caplog: pytest.LogCaptureFixture) -> None:
    sparing = Sparing(LOGGER)
    for _ in range(5):
        sparing.state("away", is_good=False)
        sparing.state("away", is_good=False)
        sparing.state("back", is_good=True)
    sparing.close()

    assert said(caplog) == ["away", "back"]


@pytest.mark.usefixtures("quiet_seconds")
async def test_what_could_not_be_told_yet_is_told_later_if_it_still_holds(caplog: pytest.LogCaptureFixture) -> None:
    sparing = Sparing(LOGGER)
    sparing.state("away", is_good=False)
    sparing.state("back", is_good=True)
    sparing.state("away again", is_good=False)
    assert said(caplog) == ["away", "back"]

    await eventually(lambda: said(caplog) == ["away", "back", "away again"])
    sparing.close()


@pytest.mark.usefixtures("quiet_seconds")
async def test_what_no_longer_holds_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    sparing = Sparing(LOGGER)
    sparing.state("away", is_good=False)
    sparing.state("back", is_good=True)
    sparing.state("away", is_good=False)
    sparing.state("back", is_good=True)

    sparing.event("later", logging.INFO, "first")
    await eventually(lambda: _said_again(sparing, caplog))

    assert said(caplog)[:3] == ["away", "back", "first"]
    assert "away" not in said(caplog)[1:]
    sparing.close()


def _said_again(sparing: Sparing, caplog: pytest.LogCaptureFixture) -> bool:
    sparing.event("later", logging.INFO, "second")
    return "second" in said(caplog)
