"""A lane keeps as many connections as are used, and lets go of those that a burst has left."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from tests.waiting import loop_turns
from treadle.store.postgres.lane import KEEP_SECONDS, Lane


class Connection:
    """What a lane asks of one."""

    def __init__(self, *, breaks: bool = False) -> None:
        self.end = ""
        self._breaks = breaks

    def is_closed(self) -> bool:
        return bool(self.end)

    def is_in_transaction(self) -> bool:
        return False

    async def close(self, *, timeout: float) -> None:
        if self._breaks:
            raise ConnectionResetError
        self.end = "closed"

    def terminate(self) -> None:
        self.end = "terminated"


class Burst:
    """A lane that has had so many connections out at once."""

    def __init__(self, size: int, keep_seconds: float, *, breaks: bool = False) -> None:
        self.made: list[Connection] = []
        self._breaks = breaks
        self._size = size
        self.lane = Lane(self._connect, size, keep_seconds)

    async def _connect(self) -> Any:
        self.made.append(Connection(breaks=self._breaks))
        return self.made[-1]

    async def happen(self) -> None:
        async with AsyncExitStack() as stack:
            for _ in range(self._size):
                await stack.enter_async_context(self.lane.borrow())

    @property
    def ends(self) -> list[str]:
        return sorted(connection.end for connection in self.made)


async def test_connections_that_were_just_used_stay() -> None:
    burst = Burst(3, KEEP_SECONDS)
    await burst.happen()
    await burst.happen()
    assert burst.ends == ["", "", ""]
    await burst.lane.aclose()
    assert burst.ends == ["closed", "closed", "closed"]


async def test_of_those_that_nobody_borrowed_for_long_one_stays() -> None:
    burst = Burst(3, keep_seconds=-1.0)
    await burst.happen()
    async with burst.lane.borrow() as left:
        await loop_turns(2)
        assert burst.ends == ["", "closed", "closed"]
        assert not left.is_closed()
    await burst.lane.aclose()


async def test_one_that_cannot_be_closed_in_order_is_cut_off() -> None:
    burst = Burst(2, keep_seconds=-1.0, breaks=True)
    await burst.happen()
    await burst.lane.aclose()
    assert burst.ends == ["terminated", "terminated"]
