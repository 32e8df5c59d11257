"""What every test run needs: the servers it may start, named in its header, and their end; and the rungs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import running
from tests.servers.rungs import RUNGS, rungs_of


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "only_on(*rungs, reason=...): a test with a rung that is not for all of them")


def pytest_report_header() -> str:
    return "servers: " + ", ".join(running.names())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "rung" in metafunc.fixturenames:
        metafunc.parametrize("rung", rungs_of(metafunc.definition.get_closest_marker("only_on")))


@pytest.fixture
def rung_settings(rung: str) -> Iterator[dict[str, str]]:
    """The settings that make a Treadle run on the test's rung, with nothing in it yet."""
    with RUNGS[rung]() as settings:
        yield settings


def pytest_unconfigure() -> None:
    running.end_all()
