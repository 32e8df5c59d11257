"""What every dispatch must do.

D1  Losing, repeating or inventing hints costs time, never a job: nobody may rely on one.
D2  ``announce`` never raises and never waits for anything slow.
D3  ``take`` gives ids of ``high`` lines before those of ``default`` lines, first in first out inside a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from treadle.ids import JobId
from treadle.queue import Priority


class Dispatch(Protocol):
    """The contract."""

    def announce(self, queue: str, priority: Priority, ids: Sequence[JobId]) -> None:
        """Say that jobs became ready (D2)."""
        ...

    async def take(self, queues: Sequence[str] | None, limit: int, timeout_seconds: float) -> list[JobId]:
        """At most ``limit`` ids of one line (D3); empty after the timeout, or earlier when a scan may find work."""
        ...

    async def check(self) -> None:
        """Return when hints reach those they are for. Raises ``Unavailable``: then work is found by scans alone."""
        ...

    async def aclose(self) -> None:
        """Let go; waiting takers get nothing."""
        ...
