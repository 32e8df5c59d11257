"""The pytest plugin: the fixture ``treadle_harness`` for the app that your fixture ``treadle_app`` returns.

Loaded by every pytest run where Treadle is installed, so it imports nothing of it until a test asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from treadle.app import Treadle
    from treadle.testing.harness import Harness


@pytest.fixture
def treadle_app() -> Treadle:
    """Yours to override in conftest.py: return the ``Treadle`` object whose jobs are tested."""
    raise pytest.UsageError("write a fixture treadle_app that returns your Treadle object, for treadle_harness to run")


@pytest.fixture
def treadle_harness(treadle_app: Treadle) -> Iterator[Harness]:
    """A ``treadle.testing.Harness`` for one test: its own store, its own time, its own files."""
    from treadle.testing.harness import Harness

    with Harness(treadle_app) as harness:
        yield harness
