"""A worker whose Redis does what it likes: every job is completed, once, and no submission waits."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from tests.redis.conftest import NewServer, ids
from tests.servers.redis import Redis
from tests.waiting import eventually
from tests.worker.house import House, open_house
from treadle.ids import JobId
from treadle.jobtype import Registry
from treadle.queue import Priority
from treadle.states import Status

JOBS = 120
WAVES = 12


class Numbered(msgspec.Struct):
    n: int = 0


@pytest.fixture
def starts() -> Counter[str]:
    return Counter()


@pytest.fixture
def registry(starts: Counter[str]) -> Registry:
    registry = Registry()

    @registry.job("COUNT")
    async def count(payload: Numbered) -> None:
        starts[str(payload.n)] += 1

    @registry.job("LOST")
    async def lost(payload: Numbered) -> None:
        starts["lost"] += 1

    return registry


async def completed(house: House, count: int) -> None:
    async def are_completed() -> bool:
        return await house.count(Status.COMPLETED) == count

    await eventually(are_completed, within_seconds=60)


# ------------------------------------------------------------------------------------- what Redis does


async def nothing(server: Redis) -> None:
    return


async def flushed(server: Redis) -> None:
    server.flush()


async def killed(server: Redis) -> None:
    if server.program.runs:
        server.program.kill()
    else:
        await asyncio.to_thread(server.start)


async def paused(server: Redis) -> None:
    state = server.program._process
    assert state is not None
    is_paused = getattr(state, "is_paused", False)
    (server.program.resume if is_paused else server.program.pause)()
    state.is_paused = not is_paused  # type: ignore[attr-defined]


async def full(server: Redis) -> None:
    with server.client() as client:
        client.config_set("maxmemory", "0" if client.config_get("maxmemory")["maxmemory"] == "1" else "1")


async def wrong(server: Redis) -> None:
    with server.client() as client:
        client.delete("queue:default")
        client.set("queue:default", "x")


async def full_of_garbage(server: Redis) -> None:
    with server.client() as client:
        client.lpush("queue:default", b"\xff" * 1_000_000, "'; DROP TABLE jobs", *ids(3))
        client.rpush("queue:high_priority", *[b"garbage"] * 100)


async def repeating(server: Redis) -> None:
    with server.client() as client:
        hints = client.lrange("queue:default", 0, -1)
        if hints:
            client.rpush("queue:default", *hints * 5)


CONDUCT: dict[str, Callable[[Redis], Awaitable[None]]] = {
    "well": nothing,
    "flushed": flushed,
    "killed": killed,
    "paused": paused,
    "full": full,
    "wrong": wrong,
    "garbage": full_of_garbage,
    "repeating": repeating,
}


@pytest.mark.parametrize("conduct", CONDUCT)
async def test_whatever_it_does_all_jobs_are_done_once(
    registry: Registry, new_server: NewServer, starts: Counter[str], conduct: str
) -> None:
    server = new_server()
    async with open_house(registry, {"REDIS_URL": server.address}) as house:
        numbers = iter(range(JOBS))
        for _ in range(WAVES):
            for _ in range(JOBS // WAVES):
                await house.submit("COUNT", {"n": next(numbers)})
            await CONDUCT[conduct](server)

        await completed(house, JOBS)

        assert starts == Counter({str(n): 1 for n in range(JOBS)})
        assert house.worker.running == 0


async def test_submissions_do_not_wait_for_a_redis_that_does_not_answer(
    registry: Registry, new_server: NewServer, starts: Counter[str]
) -> None:
    server = new_server()
    async with open_house(registry, {"REDIS_URL": server.address}) as house:
        await house.until(await house.submit("COUNT"), Status.COMPLETED)
        server.program.pause()

        await asyncio.gather(*(house.submit("COUNT", {"n": n}) for n in range(50)))
        await completed(house, 51)

        server.program.resume()


# ------------------------------------------------------------------------------------------- the net


async def submit_without_hints(house: House, type_name: str, count: int) -> list[JobId]:
    """As submitted by a process whose hints are lost."""
    house.dispatch.drops = True
    try:
        return await house.submit_many(type_name, count)
    finally:
        house.dispatch.drops = False


async def test_a_lost_hint_is_found_while_the_list_keeps_giving(
    registry: Registry, new_server: NewServer, starts: Counter[str]
) -> None:
    """As after a restore of an old dump: thousands of ids of jobs that are long done, and a job that is in no list."""
    server = new_server()
    settings = {"REDIS_URL": server.address, "TREADLE_RECONCILE_SECONDS": "0.3", "TREADLE_CONCURRENCY": "2"}
    async with open_house(registry, settings) as house:
        old = [await house.submit("COUNT", {"n": n}) for n in range(5)]
        await completed(house, 5)
        await house.dispatch.check()
        with server.client() as client:
            await asyncio.to_thread(client.rpush, "queue:default", *old * 20_000)

            [job_id] = await submit_without_hints(house, "LOST", 1)
            await house.until(job_id, Status.COMPLETED)

            assert client.llen("queue:default") > 0, "it was found beside the list, not after it"
    assert starts == Counter({"lost": 1, **{str(n): 1 for n in range(5)}})


async def test_jobs_whose_hints_are_all_lost_are_drained_one_full_scan_after_the_other(
    registry: Registry, new_server: NewServer, starts: Counter[str]
) -> None:
    server = new_server()
    # Between two waits there is one look: with a wait after each full one, this would take minutes.
    settings = {"REDIS_URL": server.address, "TREADLE_POLL_SECONDS": "4", "TREADLE_RECONCILE_SECONDS": "8"}
    async with open_house(registry, {**settings, "TREADLE_CONCURRENCY": "2"}) as house:
        await house.until(await house.submit("LOST"), Status.COMPLETED)
        await submit_without_hints(house, "COUNT", 200)
        with server.client() as client:
            client.rpush("queue:default", *ids(2))
            server.flush()

        await completed(house, 201)

        assert starts == Counter({"lost": 1, **{str(n): 1 for n in range(200)}})


async def test_hints_go_through_redis_when_all_is_well(
    registry: Registry, new_server: NewServer, starts: Counter[str]
) -> None:
    server = new_server()
    settings = {"REDIS_URL": server.address, "TREADLE_POLL_SECONDS": "5", "TREADLE_RECONCILE_SECONDS": "60"}
    async with open_house(registry, settings) as house:
        await house.dispatch.check()
        for n in range(30):
            await house.until(await house.submit("COUNT", {"n": n}, priority=Priority(n % 2)), Status.COMPLETED)

        by_hint = [request for request in house.store.claims if request.ids is not None]
        assert sum(len(request.ids or ()) for request in by_hint) >= 29


async def test_a_stopped_worker_takes_no_hint_with_it(
    registry: Registry, new_server: NewServer, starts: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treadle.dispatch.redis.BLOCK_SECONDS", 60.0)  # it is not the end of its wait that ends it
    server = new_server()
    settings = {"REDIS_URL": server.address, "TREADLE_POLL_SECONDS": "60", "TREADLE_RECONCILE_SECONDS": "60"}
    async with open_house(registry, settings) as house:
        await house.until(await house.submit("COUNT"), Status.COMPLETED)
        with server.client() as client:
            await eventually(lambda: client.info("clients")["blocked_clients"] == 1)
            await house.stop()
            await eventually(lambda: client.info("clients")["blocked_clients"] == 0)
            await house.submit("COUNT", {"n": 1})

            await eventually(lambda: client.llen("queue:default") == 1)
