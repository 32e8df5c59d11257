"""One server a module and rung: the rows of a table all go to the same one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.security.target import Target, open_target
from tests.servers.rungs import RUNGS


@pytest.fixture(scope="module", params=list(RUNGS))
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """An API alone: what was stored by mistake stays where it is."""
    with open_target(tmp_path_factory.mktemp("api"), request.param, "api") as target:
        yield target


@pytest.fixture(scope="module", params=list(RUNGS))
def dev(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """An API, a worker and a mailbox."""
    with open_target(tmp_path_factory.mktemp("dev"), request.param, "dev") as target:
        yield target
