"""``Sparing``: a log that says each kind of thing at most once a minute, and never ends on a wrong note."""

from __future__ import annotations

import asyncio
import logging

QUIET_SECONDS = 60.0


class Sparing:
    """Lives on one loop."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._next_at: dict[str, float] = {}
        self._said: tuple[str, bool] | None = None
        self._to_say: tuple[str, bool] | None = None
        self._later: asyncio.TimerHandle | None = None

    def event(self, kind: str, level: int, message: str, *arguments: object) -> None:
        """Say it, unless something of its kind was said within the last minute."""
        if self._may(kind):
            self._logger.log(level, message, *arguments)

    def state(self, message: str, *, is_good: bool) -> None:
        """Say how things stand, where that is news. What may not be said yet is said later, if it still holds."""
        self._to_say = (message, is_good)
        self._say()

    def close(self) -> None:
        """Say nothing later."""
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _say(self) -> None:
        self.close()
        if self._to_say is None or self._to_say == self._said:
            return
        message, is_good = self._to_say
        kind = "good" if is_good else "bad"
        if self._may(kind):
            self._said = self._to_say
            self._logger.log(logging.INFO if is_good else logging.WARNING, "%s", message)
            return
        loop = asyncio.get_running_loop()
        self._later = loop.call_later(self._next_at[kind] - loop.time(), self._say)

    def _may(self, kind: str) -> bool:
        now = asyncio.get_running_loop().time()
        if now < self._next_at.get(kind, now):
            return False
        self._next_at[kind] = now + QUIET_SECONDS
        return True
