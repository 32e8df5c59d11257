"""Time: one clock that ``now`` comes from, and a second one that only ever rises.

The only reader of wall time and monotonic time in the project. ``now`` is the store's: it is anchored when the
store answers and advanced by the monotonic clock, so a wall clock that jumps moves no job.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from treadle.errors import Unavailable

# A clock that counts suspended time too: a laptop that slept is late by nothing. On Linux that is BOOTTIME
# (clock_gettime(2)); on macOS CLOCK_MONOTONIC does it, and Python's time.monotonic() does not.
_RISING = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def rising_seconds() -> float:
    """Seconds on a clock shared by all processes of this boot of this machine; never falls."""
    return time.clock_gettime(_RISING)


def wall_now() -> datetime:
    """The machine's own idea of the time, right or wrong; only for anchors and log lines."""
    return datetime.fromtimestamp(time.time(), UTC)


def boot_id() -> str:
    """What tells one boot of this machine from the next; rising seconds compare only within one."""
    linux = Path("/proc/sys/kernel/random/boot_id")
    if linux.exists():
        return linux.read_text("ascii").strip()
    if sys.platform == "darwin":
        done = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()
    # Elsewhere: the boot's moment to ten seconds, which is stable while the wall clock does not jump.
    return f"boot-{round((time.time() - rising_seconds()) / 10)}"


@dataclass(frozen=True, slots=True)
class Anchor:
    """One moment on both clocks: the store's wall time, and the rising seconds at which it was so."""

    wall: datetime
    rising: float


class Clock(Protocol):
    """What verbs and rooms know of time."""

    def now(self) -> datetime:
        """The store's present moment, aware UTC. Raises ``Unavailable`` before the store first answered."""
        ...

    def rising(self) -> float:
        """Seconds for measuring durations; the origin means nothing."""
        ...


class AnchoredClock:
    """The store's time, advanced by the rising clock from the last anchor."""

    def __init__(self) -> None:
        self._anchor: Anchor | None = None

    def set_anchor(self, anchor: Anchor) -> None:
        """Take ``anchor`` as the truth from now on."""
        self._anchor = anchor

    def now(self) -> datetime:
        """See ``Clock.now``."""
        if self._anchor is None:
            raise Unavailable("the store has not told the time yet")
        return self._anchor.wall + timedelta(seconds=rising_seconds() - self._anchor.rising)

    def rising(self) -> float:
        """See ``Clock.rising``."""
        return rising_seconds()
