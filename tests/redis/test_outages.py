"""Redis is absent, killed, emptied, paused, cut, full, read-only, wrong: hints go elsewhere and come back.

Each time the same three things: a take waits as it should and comes back empty, a hint of this process reaches a
worker of this process, and when the trouble is over hints go through Redis again, without anybody's help.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import pytest
import redis

from tests.redis.conftest import LONG_SECONDS, SHORT_SECONDS, NewDispatch, NewServer, ids
from tests.servers.ports import free_ports
from tests.servers.redis import Redis
from tests.waiting import eventually, eventually_blocking, loop_turns
from treadle.dispatch.lines import line_name
from treadle.dispatch.redis import MAX_SPARE_HINTS, RedisDispatch
from treadle.errors import Unavailable
from treadle.ids import JobId
from treadle.queue import Priority
from treadle.telemetry.metrics import Metrics
from treadle.testing import FaultProxy


async def is_up(dispatch: RedisDispatch) -> bool:
    try:
        await dispatch.check()
    except Unavailable:
        return False
    return True


async def is_away(dispatch: RedisDispatch) -> bool:
    return not await is_up(dispatch)


async def assert_goes_through_redis(dispatch: RedisDispatch, server: Redis) -> None:
    """Once it is up: a hint is seen in Redis, and taken from there."""
    await eventually(lambda: is_up(dispatch))
    while await dispatch.take(None, 1000, SHORT_SECONDS):
        pass  # what was kept for it meanwhile
    told = ids(2)
    with server.client() as client:
        dispatch.announce("default", Priority.DEFAULT, told)
        await eventually(lambda: client.lrange("queue:default", 0, -1) == [job_id.encode() for job_id in told])
    assert await dispatch.take(None, 10, LONG_SECONDS) == told


async def assert_one_process_goes_on_alone(dispatch: RedisDispatch) -> None:
    """Hints of this process reach its own takes, waiting ones and later ones, without Redis."""
    # What was on its way when Redis was lost may come once more (D1).
    while await dispatch.take(None, 100, SHORT_SECONDS):
        pass
    waiting = asyncio.create_task(dispatch.take(None, 10, LONG_SECONDS))
    await loop_turns(5)
    told = ids(2)
    dispatch.announce("default", Priority.DEFAULT, told[:1])
    # What was on its way may also come just now, before what is new.
    found = await waiting
    while told[0] not in found and (more := await dispatch.take(None, 10, LONG_SECONDS)):
        found += more
    assert found[-1:] == told[:1]
    dispatch.announce("default", Priority.HIGH, told[1:])
    assert await dispatch.take(None, 10, LONG_SECONDS) == told[1:]
    assert await dispatch.take(None, 10, SHORT_SECONDS) == []


def lines_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [f"{record.levelname} {record.getMessage()}" for record in caplog.records]


# ----------------------------------------------------------------------------------------- not there


async def test_absent_at_the_start_and_there_later(
    new_dispatch: NewDispatch, new_server: NewServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = new_server(is_off=True)
    dispatch = new_dispatch(server.address)
    await eventually(lambda: is_away(dispatch))
    await assert_one_process_goes_on_alone(dispatch)

    server.start()

    await assert_goes_through_redis(dispatch, server)
    assert lines_of(caplog) == [
        "WARNING Redis cannot be used, workers look for jobs by themselves: connection refused",
        "INFO Redis tells workers what is ready",
    ]


async def test_killed_and_restarted_empty(
    dispatch: RedisDispatch, server: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await assert_goes_through_redis(dispatch, server)
    waiting = asyncio.create_task(dispatch.take(None, 10, LONG_SECONDS))
    await taken_up(server)

    server.program.kill()
    assert await waiting == [], "who waits is to scan: hints may be lost"
    await eventually(lambda: is_away(dispatch))
    await assert_one_process_goes_on_alone(dispatch)
    server.start()

    await assert_goes_through_redis(dispatch, server)
    assert [line.split()[0] for line in lines_of(caplog)] == ["INFO", "WARNING"], "back within a minute is no news yet"


async def test_a_take_that_waits_comes_back_when_redis_does_so_that_it_scans(
    dispatch: RedisDispatch, server: Redis
) -> None:
    await assert_goes_through_redis(dispatch, server)
    server.program.kill()
    await eventually(lambda: is_away(dispatch))
    waiting = asyncio.create_task(dispatch.take(None, 10, LONG_SECONDS))

    server.start()

    assert await waiting == []
    await assert_goes_through_redis(dispatch, server)


async def test_the_newest_hints_wait_for_its_return_and_older_ones_are_dropped(
    new_dispatch: NewDispatch, new_server: NewServer
) -> None:
    server = new_server(is_off=True)
    metrics = Metrics()
    # Nobody takes from it, as in a process without a worker.
    api = new_dispatch(server.address, metrics=metrics)
    await eventually(lambda: is_away(api))
    told = ids(MAX_SPARE_HINTS + 50)
    api.announce("default", Priority.DEFAULT, told[:700])
    api.announce("default", Priority.DEFAULT, told[700:])

    server.start()

    with server.client() as client:
        await eventually(lambda: client.llen("queue:default") == MAX_SPARE_HINTS)
        assert client.lrange("queue:default", 0, -1) == [job_id.encode() for job_id in told[50:]]
    assert api.dropped == metrics.hints.value("dropped") == 50
    assert metrics.hints.value("announced") == MAX_SPARE_HINTS + 50


async def test_hints_on_their_way_are_bounded_and_those_beyond_are_dropped_and_counted(
    dispatch: RedisDispatch, server: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("treadle.dispatch.redis.MAX_WAITING_HINTS", 1000)
    assert await is_up(dispatch)
    told = ids(1300)
    for start in range(0, 1300, 100):
        dispatch.announce("default", Priority.DEFAULT, told[start : start + 100])

    with server.client() as client:
        await eventually(lambda: client.lrange("queue:default", 0, -1) == [job_id.encode() for job_id in told[:1000]])
    assert dispatch.dropped == 300
    assert lines_of(caplog) == ["WARNING hints were dropped, 100 so far; their jobs are found by scan"]


async def test_a_process_without_a_worker_keeps_no_hint_for_itself(
    new_dispatch: NewDispatch, new_server: NewServer
) -> None:
    server = new_server(is_off=True)
    api = new_dispatch(server.address)
    await eventually(lambda: is_away(api))

    api.announce("default", Priority.DEFAULT, ids(10))

    assert api._local.take_now(None, 10) == []


async def taken_up(server: Redis) -> None:
    """Until somebody waits in BLMPOP."""
    with server.client() as client:
        await eventually(lambda: client.info("clients")["blocked_clients"] > 0)


# ----------------------------------------------------------------------------------------- emptied


async def test_flushed_while_somebody_waits_and_while_hints_lie_there(dispatch: RedisDispatch, server: Redis) -> None:
    await assert_goes_through_redis(dispatch, server)
    waiting = asyncio.create_task(dispatch.take(None, 10, LONG_SECONDS))
    await taken_up(server)

    server.flush()
    dispatch.announce("default", Priority.DEFAULT, told := ids(1))

    assert await waiting == told
    dispatch.announce("default", Priority.DEFAULT, ids(10))
    with server.client() as client:
        await eventually(lambda: client.llen("queue:default") == 10)
    server.flush()
    assert await dispatch.take(None, 10, SHORT_SECONDS) == []
    await assert_goes_through_redis(dispatch, server)


async def test_evicted_lists_are_lost_hints(new_dispatch: NewDispatch, new_server: NewServer) -> None:
    server = new_server(options=["--maxmemory-policy", "allkeys-lru"])
    dispatch = new_dispatch(server.address)
    await assert_goes_through_redis(dispatch, server)
    dispatch.announce("default", Priority.DEFAULT, ids(1000))
    with server.client() as client:
        await eventually(lambda: client.llen("queue:default") == 1000)
        client.config_set("maxmemory", "1mb")
        client.config_set("maxmemory", "1")
        await eventually(lambda: _evicts(client))
        client.config_set("maxmemory", "0")

    assert await dispatch.take(None, 10, SHORT_SECONDS) == []
    await assert_goes_through_redis(dispatch, server)


def _evicts(client: redis.Redis) -> bool:
    with suppress(redis.ResponseError):
        client.set("filler", "x" * 1000)
    return bool(client.exists("queue:default") == 0)


# ------------------------------------------------------------------------------- there, and of no use

Trouble = Callable[[Redis, FaultProxy], AbstractContextManager[None]]


@contextmanager
def full(server: Redis, proxy: FaultProxy) -> Iterator[None]:
    with server.client() as client:
        client.config_set("maxmemory", "1")
        yield
        client.config_set("maxmemory", "0")


@contextmanager
def read_only(server: Redis, proxy: FaultProxy) -> Iterator[None]:
    with server.client() as client:
        client.replicaof("127.0.0.1", "1")
        yield
        client.replicaof("NO", "ONE")


@contextmanager
def unable_to_save(server: Redis, proxy: FaultProxy) -> Iterator[None]:
    in_the_way = server.program.folder / "dump.rdb"
    with server.client() as client:
        in_the_way.mkdir()
        client.bgsave()
        eventually_saved(client, "err")
        yield
        in_the_way.rmdir()
        client.bgsave()
        eventually_saved(client, "ok")


@contextmanager
def wanting_another_password(server: Redis, proxy: FaultProxy) -> Iterator[None]:
    with server.client() as client:
        client.config_set("requirepass", "another")
        proxy.cut()
        yield
        client.config_set("requirepass", "")


@contextmanager
def paused(server: Redis, proxy: FaultProxy) -> Iterator[None]:
    server.program.pause()
    yield
    server.program.resume()


@contextmanager
def half_open(server: Redis, proxy: FaultProxy) -> Iterator[None]:
    proxy.silence()
    yield
    proxy.heal()


@contextmanager
def deaf(server: Redis, proxy: FaultProxy) -> Iterator[None]:
    proxy.silence("up")
    yield
    proxy.heal()


@contextmanager
def mute(server: Redis, proxy: FaultProxy) -> Iterator[None]:
    proxy.silence("down")
    yield
    proxy.heal()


@contextmanager
def too_slow(server: Redis, proxy: FaultProxy) -> Iterator[None]:
    proxy.delay_seconds = 2.0
    yield
    proxy.heal()


@contextmanager
def without_the_command(server: Redis, proxy: FaultProxy) -> Iterator[None]:
    with server.client() as client:
        client.acl_setuser("default", enabled=True, commands=["+@all", "-blmpop"], keys=["*"], nopass=True)
        yield
        client.acl_setuser("default", enabled=True, commands=["+@all"], keys=["*"], nopass=True)


TROUBLES: dict[str, tuple[Trouble, str]] = {
    "full": (full, "its memory is full"),
    "read-only": (read_only, "it is a read-only replica"),
    "unable to save": (unable_to_save, "it cannot save to its disk and refuses writes"),
    "password": (wanting_another_password, "it wants another user name or password"),
    "paused": (paused, "it does not answer in time"),
    "half-open": (half_open, "it does not answer in time"),
    "deaf": (deaf, "it does not answer in time"),
    "mute": (mute, "it does not answer in time"),
    "too slow": (too_slow, "it does not answer in time"),
    "forbidden": (without_the_command, "this user may not do what is needed"),
}


def eventually_saved(client: redis.Redis, status: str) -> None:
    eventually_blocking(lambda: client.info("persistence")["rdb_last_bgsave_status"] == status)


@pytest.fixture
def server(new_server: NewServer) -> Redis:
    """One that would save now and then, and refuses writes when it cannot."""
    return new_server(options=["--save", "3600 100000"])


@pytest.mark.parametrize("name", TROUBLES)
async def test_there_and_of_no_use(
    through_proxy: RedisDispatch, server: Redis, proxy: FaultProxy, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    dispatch = through_proxy
    trouble, reason = TROUBLES[name]
    await assert_goes_through_redis(dispatch, server)
    with trouble(server, proxy):
        # Nobody looked yet whether it is of use: the first who push or take find out.
        told = ids(3)
        dispatch.announce("default", Priority.DEFAULT, told)
        assert await taken(dispatch, 3) == told
        await eventually(lambda: is_away(dispatch))
        await assert_one_process_goes_on_alone(dispatch)
        # A connection that was cut is what it may meet first.
        await eventually(lambda: (dispatch._link.reason or "").startswith(reason))

    await assert_goes_through_redis(dispatch, server)
    assert len([line for line in lines_of(caplog) if line.startswith("WARNING")]) == 1


async def taken(dispatch: RedisDispatch, count: int) -> list[JobId]:
    found: list[JobId] = []
    for _ in range(5):  # the first may be told that Redis is lost, and another one that it is back
        if len(found) < count:
            found += await dispatch.take(None, count, 10.0)
    return found


async def test_nobody_turns_in_circles_while_it_is_away(through_proxy: RedisDispatch, proxy: FaultProxy) -> None:
    await proxy.refuse()
    (nobodys,) = free_ports(1)
    proxy.upstream = ("127.0.0.1", nobodys)  # tries are counted, and fail at once
    await proxy.start()
    await eventually(lambda: is_away(through_proxy))
    before = proxy.accepted

    for _ in range(2):
        assert await through_proxy.take(None, 10, 1.0) == [], "it waits as long as it was told"

    assert 0 < proxy.accepted - before < 20


# ---------------------------------------------------------------------------------------- one bad list


@pytest.mark.parametrize("make", ["SET", "HSET"])
@pytest.mark.parametrize("priority", Priority)
async def test_a_name_that_something_else_has_taken_stops_no_other_list(
    new_dispatch: NewDispatch,
    server: Redis,
    priority: Priority,
    make: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A high list is asked for before every default one: what stands in its place stands before them all."""
    monkeypatch.setattr("treadle.dispatch.redis.WRONG_SECONDS", 0.2)
    line = line_name("default", priority)
    api, worker = new_dispatch(server.address), new_dispatch(server.address, queue_names=_names)
    with server.client() as client:
        client.execute_command(make, line, "x", *(["y"] if make == "HSET" else []))
        api.announce("default", priority, ids(2))
        for queue in "ab":
            api.announce(queue, Priority.DEFAULT, told := ids(2))
            assert await worker.take(None, 10, LONG_SECONDS) == told

        assert await is_up(api)
        assert await is_up(worker)
        assert api.dropped == 2
        assert client.type(line) == (b"string" if make == "SET" else b"hash"), "not ours to delete"
        assert [said for said in lines_of(caplog) if f"{line} in Redis is no list" in said]
        client.delete(line)

    api.announce("default", priority, told := ids(2))
    assert await worker.take(None, 10, LONG_SECONDS) == told


async def _names() -> list[str]:
    return ["a", "b", "default"]


async def test_hints_for_such_a_name_reach_workers_of_the_same_process(dispatch: RedisDispatch, server: Redis) -> None:
    with server.client() as client:
        client.set("queue:default", "x")
    await dispatch.take(None, 10, 0.0)

    dispatch.announce("default", Priority.DEFAULT, told := ids(2))

    assert await dispatch.take(None, 10, LONG_SECONDS) == told


async def test_when_every_name_is_taken_a_take_waits_and_finds_nothing(dispatch: RedisDispatch, server: Redis) -> None:
    with server.client() as client:
        client.set("queue:default", "x")
        client.set("queue:high_priority", "x")
    await dispatch.check()

    assert await dispatch.take(None, 10, SHORT_SECONDS) == []
    await assert_one_process_goes_on_alone(dispatch)
