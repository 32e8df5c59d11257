"""``Stop``: the end of a phase, and the only way in which the run waits for time to pass."""

from __future__ import annotations

import asyncio
import time


class Stop:
    """Set once; who waits for time to pass meanwhile is woken by it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def is_set(self) -> bool:
        return self._event.is_set()

    def set(self) -> None:
        self._event.set()

    async def within(self, seconds: float) -> bool:
        """Whether it was set before so many seconds had passed."""
        try:
            await asyncio.wait_for(self._event.wait(), max(0.0, seconds))
        except TimeoutError:
            return False
        return True

    async def until(self, moment: float) -> bool:
        """``within``, up to a moment of ``time.monotonic``."""
        return await self.within(moment - time.monotonic())
