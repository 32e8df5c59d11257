"""What tests of the worker share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.worker.house import Door
from treadle.jobtype import Registry


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def door() -> Iterator[Door]:
    """Closed; opened at the end whatever happens, so that no handler outlives its test."""
    door = Door()
    yield door
    door.open()
