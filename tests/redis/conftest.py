"""Servers of a test's own, which it may break, and dispatches on them that close with the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tests.servers import running
from tests.servers.redis import Redis, machine_redis, wheel_valkey
from treadle.dispatch.local import LocalDispatch
from treadle.dispatch.redis import RedisDispatch
from treadle.ids import JobId, new_job_id
from treadle.testing import FaultProxy

KINDS = {"redis": machine_redis, "valkey": wheel_valkey}
LONG_SECONDS = 60.0
"""A take that is to be woken: the test's own time limit ends one that is not."""
SHORT_SECONDS = 0.05
"""A take that is to find nothing."""

NewServer = Callable[..., Redis]
NewDispatch = Callable[..., RedisDispatch]


def ids(count: int) -> list[JobId]:
    return [new_job_id() for _ in range(count)]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def new_server(kind: str) -> Iterator[NewServer]:
    """Makes servers of the test's own; options as for ``tests.servers.redis.Redis``. Not started with ``is_off``."""
    made: list[Redis] = []

    def make(*, is_off: bool = False, **options: Any) -> Redis:
        made.append(Redis(KINDS[kind](), running.place(), **options))
        if not is_off:
            made[-1].start()
        return made[-1]

    yield make
    for server in made:
        server.program.kill()


@pytest.fixture
def server(new_server: NewServer) -> Redis:
    return new_server()


@pytest.fixture
async def new_dispatch() -> AsyncIterator[NewDispatch]:
    """Makes dispatches; options as for ``RedisDispatch``."""
    made: list[RedisDispatch] = []

    def make(address: str, **options: Any) -> RedisDispatch:
        made.append(RedisDispatch(address, **{"local": LocalDispatch(), **options}))
        return made[-1]

    yield make
    for dispatch in made:
        await dispatch.aclose()


@pytest.fixture
def dispatch(new_dispatch: NewDispatch, server: Redis) -> RedisDispatch:
    return new_dispatch(server.address)


@pytest.fixture
async def proxy(server: Redis) -> AsyncIterator[FaultProxy]:
    """In front of the server."""
    proxy = FaultProxy("127.0.0.1", server.port)
    await proxy.start()
    yield proxy
    await proxy.aclose()


@pytest.fixture
def through_proxy(new_dispatch: NewDispatch, proxy: FaultProxy) -> RedisDispatch:
    return new_dispatch(f"redis://127.0.0.1:{proxy.port}/0")
