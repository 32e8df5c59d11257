"""``LocalDispatch``: hints inside one process, and an ear for what other processes of the machine commit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from treadle.errors import Unavailable
from treadle.ids import JobId
from treadle.queue import Priority
from treadle.telemetry.metrics import Metrics

MAX_HINTS_PER_LINE = 100_000
"""Beyond it hints are dropped: with no worker here they would only grow, and every job is found by scan."""

LISTEN_SECONDS = 0.05
"""Pause between looks at the store's change counter: what another process submits starts this late at most."""


class LocalDispatch:
    """Implements ``Dispatch`` with deques; lives on one loop.

    ``changes`` tells a number that moves when another process committed (``Store.changes``); takers are then
    woken with nothing in hand, which makes them scan. Without it (tests) only this process's hints wake.
    """

    def __init__(self, changes: Callable[[], Awaitable[int]] | None = None, metrics: Metrics | None = None) -> None:
        self._hints = (metrics or Metrics()).hints
        self._lines: dict[tuple[Priority, str], deque[JobId]] = {}
        self._takers: dict[asyncio.Future[None], Sequence[str] | None] = {}
        self._changes = changes
        self._ear: asyncio.Task[None] | None = None
        self._poked = False
        self._turn = 0
        self._closed = False

    def announce(self, queue: str, priority: Priority, ids: Sequence[JobId]) -> None:
        """See ``Dispatch.announce``."""
        line = self._lines.setdefault((priority, queue), deque())
        room = max(0, MAX_HINTS_PER_LINE - len(line))
        line.extend(ids[:room])
        self._hints.add(len(ids), "announced")
        if len(ids) > room:
            self._hints.add(len(ids) - room, "dropped")
        self._wake(len(ids), queue)

    async def take(self, queues: Sequence[str] | None, limit: int, timeout_seconds: float) -> list[JobId]:
        """See ``Dispatch.take``."""
        if self._ear is None and self._changes is not None and not self._closed:
            self._ear = asyncio.create_task(self._listen(self._changes))
        ids = self.take_now(queues, limit)
        if ids or self._closed or self._took_poke():
            return ids
        taker: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._takers[taker] = queues
        try:
            await asyncio.wait((taker,), timeout=timeout_seconds)
        finally:
            self._takers.pop(taker, None)
        ids = self.take_now(queues, limit)
        if not ids:
            # Spent only where nothing is brought: then the taker scans. A poke beside ids is for the next take.
            self._took_poke()
        return ids

    def take_now(self, queues: Sequence[str] | None, limit: int) -> list[JobId]:
        """``take`` of what is there, without waiting."""
        for priority in Priority:
            names = [q for (p, q), line in self._lines.items() if p is priority and line]
            if queues is not None:
                names = [name for name in names if name in queues]
            if names:
                self._turn += 1
                line = self._lines[(priority, names[self._turn % len(names)])]
                return [line.popleft() for _ in range(min(limit, len(line)))]
        return []

    def poke(self) -> None:
        """End waiting takes, or else the next one, with nothing: a scan may find work."""
        self._poked = True
        self._wake(len(self._takers))

    async def check(self) -> None:
        """See ``Dispatch.check``: what is in this process is there."""

    async def aclose(self) -> None:
        """See ``Dispatch.aclose``."""
        self._closed = True
        self._wake(len(self._takers))
        if self._ear is not None:
            self._ear.cancel()
            with suppress(asyncio.CancelledError):
                await self._ear

    def _wake(self, count: int, queue: str | None = None) -> None:
        # Only who serves the queue: anybody else would use the wake-up up and find nothing.
        serving = [
            taker for taker, queues in self._takers.items() if queue is None or queues is None or queue in queues
        ]
        for taker in serving[:count]:
            del self._takers[taker]
            if not taker.done():
                taker.set_result(None)

    def _took_poke(self) -> bool:
        poked, self._poked = self._poked, False
        return poked

    async def _listen(self, changes: Callable[[], Awaitable[int]]) -> None:
        heard: int | None = None
        while True:
            with suppress(Unavailable):
                told = await changes()
                if heard is not None and told != heard:
                    self.poke()
                heard = told
            await asyncio.sleep(LISTEN_SECONDS)


class SilentDispatch:
    """For a process without a worker: nobody here takes hints, so none are kept; others hear the commit itself."""

    def __init__(self) -> None:
        self._closed = asyncio.Event()

    def announce(self, queue: str, priority: Priority, ids: Sequence[JobId]) -> None:
        """See ``Dispatch.announce``."""

    async def take(self, queues: Sequence[str] | None, limit: int, timeout_seconds: float) -> list[JobId]:
        """See ``Dispatch.take``."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), timeout_seconds)
        return []

    async def check(self) -> None:
        """See ``Dispatch.check``."""

    async def aclose(self) -> None:
        """See ``Dispatch.aclose``."""
        self._closed.set()
