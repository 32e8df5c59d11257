"""The three rungs Treadle runs on. They start from the same commands and differ in two settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.servers import running

Settings = dict[str, str]


@contextmanager
def _sqlite() -> Iterator[Settings]:
    yield {}


@contextmanager
def _postgres() -> Iterator[Settings]:
    with running.machine_postgres().database() as address:
        yield {"DATABASE_URL": address}


@contextmanager
def _postgres_and_redis() -> Iterator[Settings]:
    running.redis().flush()
    with running.wheel_postgres().database() as address:
        yield {"DATABASE_URL": address, "REDIS_URL": running.redis().address}


RUNGS: dict[str, Callable[[], AbstractContextManager[Settings]]] = {
    "sqlite": _sqlite,
    "postgres": _postgres,
    "postgres+redis": _postgres_and_redis,
}
"""Name, and the settings of an empty one for one test. One has the oldest PostgreSQL, one the newest, with the oldest
Redis; the conformance tests have every combination of version and contract.
"""


def rungs_of(only_on: pytest.Mark | None) -> list[str]:
    """The rungs a test with this mark runs on; all without one."""
    if only_on is None:
        return list(RUNGS)
    assert only_on.kwargs.get("reason"), "only_on wants a reason"
    assert set(only_on.args) <= set(RUNGS), f"only_on{only_on.args}: the rungs are {list(RUNGS)}"
    return list(only_on.args)
