"""``ManualClock``: time that moves when it is told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2030, 1, 1, tzinfo=UTC)


class ManualClock:
    """Implements ``treadle.clock.Clock``."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self._rising = 0.0

    def now(self) -> datetime:
        """See ``Clock.now``."""
        return self._now

    def rising(self) -> float:
        """See ``Clock.rising``."""
        return self._rising

    def advance(self, seconds: float) -> None:
        """Move both clocks on; rising seconds never fall, so ``seconds`` may not be negative."""
        if seconds < 0:
            raise ValueError("a clock that goes back proves nothing")
        self._now += timedelta(seconds=seconds)
        self._rising += seconds
