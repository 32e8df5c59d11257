"""A connection whose reply was cut, late or never waited for is thrown away: nobody gets another one's answer."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Sequence

import pytest

from tests.redis.conftest import LONG_SECONDS, SHORT_SECONDS, NewDispatch, ids
from tests.redis.test_outages import assert_goes_through_redis, is_up
from tests.servers.redis import Redis
from tests.waiting import eventually, loop_turns
from treadle.dispatch.redis import RedisDispatch
from treadle.ids import JobId
from treadle.queue import Priority
from treadle.testing import FaultProxy


def fill(server: Redis, lines: dict[str, list[JobId]]) -> None:
    with server.client() as client:
        for queue, told in lines.items():
            client.rpush(f"queue:{queue}", *told)


async def take_all(dispatch: RedisDispatch, queue: str, told: Sequence[JobId]) -> list[JobId]:
    """What takes of one queue bring until its list is empty; each id must be of this queue."""
    found: list[JobId] = []
    while len(found) < len(told):
        ids = await dispatch.take([queue], 3, SHORT_SECONDS)
        assert set(ids) <= set(told), "an answer came to somebody who did not ask for it"
        if not ids and await is_up(dispatch):
            break
        found += ids
    return found


@pytest.mark.parametrize("kind", ["redis"])
async def test_a_reply_cut_at_any_byte_is_nobody_elses(
    through_proxy: RedisDispatch, server: Redis, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treadle.dispatch.link.FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr("treadle.dispatch.link.LONGEST_PAUSE_SECONDS", 0.001)
    for cut_after in range(1, 400, 13):
        lines = {queue: ids(6) for queue in "abc"}
        server.flush()
        fill(server, lines)
        proxy.cut()
        await eventually(lambda: is_up(through_proxy))
        proxy.cut()
        proxy.cut_after(cut_after, "down")

        found = await asyncio.gather(*(take_all(through_proxy, queue, told) for queue, told in lines.items()))

        for taken, told in zip(found, lines.values(), strict=True):
            assert taken == [job_id for job_id in told if job_id in taken], "in their order, each at most once"
        proxy.heal()


async def test_takes_that_are_cancelled_at_any_moment_leave_no_answer_behind(
    through_proxy: RedisDispatch, server: Redis, proxy: FaultProxy
) -> None:
    chance = random.Random(4711)
    assert await is_up(through_proxy)
    for _ in range(40):
        lines = {queue: ids(3) for queue in "ab"}
        fill(server, {"a": lines["a"]})
        taking = asyncio.create_task(through_proxy.take(["a"], 3, LONG_SECONDS))
        await loop_turns(chance.randrange(40))
        taking.cancel()
        fill(server, {"b": lines["b"]})

        assert await through_proxy.take(["b"], 3, LONG_SECONDS) == lines["b"]

        await asyncio.gather(taking, return_exceptions=True)
        server.flush()


async def test_an_answer_on_its_way_to_a_take_that_is_cancelled_reaches_no_other(
    through_proxy: RedisDispatch, server: Redis, proxy: FaultProxy
) -> None:
    lines = {queue: ids(3) for queue in "ab"}
    assert await is_up(through_proxy)
    fill(server, lines)
    proxy.silence("down")
    first = asyncio.create_task(through_proxy.take(["a"], 3, LONG_SECONDS))
    with server.client() as client:
        await eventually(lambda: not client.exists("queue:a"))

    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    second = asyncio.create_task(through_proxy.take(["b"], 3, LONG_SECONDS))
    await loop_turns(20)
    proxy.heal()

    assert await second == lines["b"]


async def test_an_answer_that_comes_too_late_is_nobody_elses(
    through_proxy: RedisDispatch, server: Redis, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treadle.dispatch.redis.ANSWER_SECONDS", 0.05)
    await assert_goes_through_redis(through_proxy, server)
    lines = {queue: ids(3) for queue in "ab"}
    fill(server, {"a": lines["a"]})
    proxy.silence("down")

    assert await through_proxy.take(["a"], 3, 0.05) == []
    proxy.heal()
    await eventually(lambda: is_up(through_proxy))
    fill(server, {"b": lines["b"]})

    assert await through_proxy.take(["b"], 3, LONG_SECONDS) == lines["b"]


def _has_accepted_more(proxy: FaultProxy, than: int) -> bool:
    return proxy.accepted > than


async def test_slow_and_cut_now_and_then(
    new_dispatch: NewDispatch, through_proxy: RedisDispatch, server: Redis, proxy: FaultProxy
) -> None:
    """300 ms each way are 600 ms to an answer: slow, and still of use; cut in mid-reply three times."""
    proxy.delay_seconds = 0.3
    lines = {queue: ids(4) for queue in "ab"}
    fill(server, lines)

    async def cut_now_and_then() -> None:
        for _ in range(3):
            accepted = proxy.accepted
            proxy.cut_after(60, "down")
            await eventually(functools.partial(_has_accepted_more, proxy, accepted))

    cutting = asyncio.create_task(cut_now_and_then())
    found = await asyncio.gather(*(take_all(through_proxy, queue, told) for queue, told in lines.items()))

    assert all(set(taken) <= set(told) for taken, told in zip(found, lines.values(), strict=True))
    await cutting
    proxy.heal()
    await assert_goes_through_redis(through_proxy, server)


async def test_a_push_cut_at_any_byte_repeats_hints_at_most(
    through_proxy: RedisDispatch, server: Redis, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treadle.dispatch.link.FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr("treadle.dispatch.link.LONGEST_PAUSE_SECONDS", 0.001)
    for cut_after in range(1, 600, 23):
        await eventually(lambda: is_up(through_proxy))
        proxy.cut()
        proxy.cut_after(cut_after, "up")
        told = ids(8)

        through_proxy.announce("default", Priority.DEFAULT, told[:4])
        through_proxy.announce("default", Priority.DEFAULT, told[4:])

        with server.client() as client:

            def has_all(told: list[JobId] = told) -> bool:
                entries = [entry.decode() for entry in client.lrange("queue:default", 0, -1)]
                assert all(len(entry) == 36 for entry in entries)
                return set(told) <= set(entries)

            await eventually(has_all)
        proxy.heal()
