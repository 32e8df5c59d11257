"""What people see in Redis with ``redis-cli``, and from which lists workers take."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.redis.conftest import LONG_SECONDS, SHORT_SECONDS, NewDispatch, ids
from tests.servers.redis import Redis
from tests.waiting import eventually
from treadle.dispatch.redis import RedisDispatch
from treadle.errors import Unavailable
from treadle.queue import Priority


def entries(server: Redis, line: str) -> list[str]:
    with server.client() as client:
        found: list[bytes] = client.lrange(line, 0, -1)
        return [entry.decode() for entry in found]


async def lies_in(server: Redis, line: str, wanted: Sequence[str]) -> None:
    await eventually(lambda: entries(server, line) == list(wanted))


@pytest.mark.parametrize(
    ("queue", "priority", "line"),
    [
        ("default", Priority.HIGH, "queue:high_priority"),
        ("default", Priority.DEFAULT, "queue:default"),
        ("images", Priority.HIGH, "queue:images:high_priority"),
        ("images", Priority.DEFAULT, "queue:images"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "shop:"])
async def test_the_ids_lie_in_the_lists_people_know_oldest_first(
    new_dispatch: NewDispatch, server: Redis, prefix: str, queue: str, priority: Priority, line: str
) -> None:
    told = ids(5)
    dispatch = new_dispatch(server.address, prefix=prefix)
    dispatch.announce(queue, priority, told[:2])
    dispatch.announce(queue, priority, told[2:])

    await lies_in(server, prefix + line, told)

    assert await dispatch.take([queue], 2, LONG_SECONDS) == told[:2]
    assert entries(server, prefix + line) == told[2:]


async def test_more_than_one_flush_keeps_the_order(dispatch: RedisDispatch, server: Redis) -> None:
    told = ids(20_000)
    for start in range(0, len(told), 7_000):
        dispatch.announce("default", Priority.DEFAULT, told[start : start + 7_000])

    await lies_in(server, "queue:default", told)


async def test_nothing_but_the_lists_is_made(dispatch: RedisDispatch, server: Redis) -> None:
    dispatch.announce("default", Priority.DEFAULT, told := ids(1))
    await dispatch.check()
    assert await dispatch.take(None, 1, LONG_SECONDS) == told

    with server.client() as client:
        assert client.dbsize() == 0


async def test_what_one_process_announces_another_takes(new_dispatch: NewDispatch, server: Redis) -> None:
    here, there = new_dispatch(server.address), new_dispatch(server.address)
    taking = asyncio.create_task(there.take(None, 10, LONG_SECONDS))
    told = ids(3)

    here.announce("default", Priority.HIGH, told)

    assert await taking == told


async def test_all_queues_are_those_the_store_names(new_dispatch: NewDispatch, server: Redis) -> None:
    async def names() -> list[str]:
        return ["default", "a", "b"]

    here, there = new_dispatch(server.address), new_dispatch(server.address, queue_names=names)
    told = {queue: ids(1) for queue in "ab"}
    for queue in "ab":
        here.announce(queue, Priority.DEFAULT, told[queue])

    taken = [await there.take(None, 10, LONG_SECONDS) for _ in range(2)]

    assert sorted(taken) == sorted(told.values())


async def test_a_queue_that_came_later_is_learnt_while_waiting(
    new_dispatch: NewDispatch, server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treadle.dispatch.redis.NAMES_SECONDS", 0.0)
    monkeypatch.setattr("treadle.dispatch.redis.BLOCK_SECONDS", 0.02)
    known: list[str] = ["default"]
    calls = 0

    async def names() -> list[str]:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Unavailable
        return list(known)

    here, there = new_dispatch(server.address), new_dispatch(server.address, queue_names=names)
    taking = asyncio.create_task(there.take(None, 10, LONG_SECONDS))
    await eventually(lambda: calls > 3)
    told = ids(1)

    here.announce("new", Priority.DEFAULT, told)
    known.append("new")

    assert await taking == told


async def test_the_stores_names_are_not_read_at_every_take(new_dispatch: NewDispatch, server: Redis) -> None:
    calls = 0

    async def names() -> list[str]:
        nonlocal calls
        calls += 1
        return ["default"]

    dispatch = new_dispatch(server.address, queue_names=names)
    for _ in range(20):
        dispatch.announce("default", Priority.DEFAULT, ids(1))
        await dispatch.take(None, 1, LONG_SECONDS)

    assert calls == 1


async def test_a_take_that_may_not_wait_does_not(dispatch: RedisDispatch) -> None:
    """To BLMPOP a zero means for ever, and who waits too long for it takes Redis for lost."""
    await dispatch.check()

    assert await dispatch.take(None, 10, 0.0) == []
    assert dispatch._link.is_up


# ------------------------------------------------------------------------------------ what is no hint

GARBAGE = [
    b"",
    b"x",
    b"\xff\xfe not UTF-8 \x80",
    b"'; DROP TABLE jobs; --",
    b"0" * 36,
    b"00000000000000000000000000000000",
    b"{01890a5d-ac96-774b-bcce-b302099a8057}",
    b"01890A5D-AC96-774B-BCCE-B302099A8057",
    b"01890a5d-ac96-774b-bcce-b302099a805\n",
    "01890a5d-ac96-774b-bcce-b302099a80\u00e9".encode(),
    b"urn:uuid:01890a5d-ac96-774b-bcce-b302099a8057",
    b"\xd9\xa0" * 18,
]


async def test_what_is_no_id_of_ours_is_dropped_and_counted(
    dispatch: RedisDispatch, server: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    told = ids(2)
    blob = b"A" * 10_000_000
    with server.client() as client:
        client.rpush("queue:default", told[0], *GARBAGE, blob, told[1])

    assert await dispatch.take(None, 100, LONG_SECONDS) == told
    assert dispatch.garbage == len(GARBAGE) + 1
    assert "DROP" not in caplog.text
    assert "AAAA" not in caplog.text
    assert f"{dispatch.garbage} so far" in caplog.text


async def test_garbage_alone_is_passed_over_until_a_hint_comes(dispatch: RedisDispatch, server: Redis) -> None:
    told = ids(1)
    with server.client() as client:
        client.rpush("queue:default", *[b"garbage"] * 500, told[0])

    assert await dispatch.take(None, 10, LONG_SECONDS) == told
    assert dispatch.garbage == 500


async def test_much_garbage_makes_one_empty_take_not_many(dispatch: RedisDispatch, server: Redis) -> None:
    with server.client() as client:
        client.rpush("queue:default", *[b"garbage"] * 100)
    await dispatch.check()

    assert await dispatch.take(None, 10, 0.5) == []
    assert dispatch.garbage == 100


async def test_garbage_alone_is_nothing_when_the_time_is_up(dispatch: RedisDispatch, server: Redis) -> None:
    with server.client() as client:
        client.rpush("queue:default", b"garbage")
    await dispatch.check()

    assert await dispatch.take(None, 10, SHORT_SECONDS) == []
