"""Reads the files in which worker processes mark that handlers start.

``$BENCH_DIR/starts-PID``: count of starts, CLOCK_MONOTONIC of the first, of the last; native ``<qdd>``.
``bench/peers/contract.py`` writes them.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

LAYOUT = struct.Struct("<qdd")

MARK_SECONDS = 0.0003
"""Between two looks at the marks where milliseconds count."""


class Starts(NamedTuple):
    """Of all worker processes together; moments on CLOCK_MONOTONIC, zero where there were none."""

    jobs: int
    first: float
    last: float


def read_starts(folder: Path) -> Starts:
    """What the marks in ``folder`` say now."""
    found = [starts for path in folder.glob("starts-*") if (starts := _read(path)).jobs]
    if not found:
        return Starts(0, 0.0, 0.0)
    return Starts(sum(s.jobs for s in found), min(s.first for s in found), max(s.last for s in found))


def _read(path: Path) -> Starts:
    data = path.read_bytes()
    return Starts(*LAYOUT.unpack(data[: LAYOUT.size])) if len(data) >= LAYOUT.size else Starts(0, 0.0, 0.0)


class Late(Exception):
    """What was waited for did not come in time."""


def wait_until(is_so: Callable[[], bool], *, within_seconds: float, pause_seconds: float = 0.01, what: str) -> None:
    """Return once ``is_so()``. Raises ``Late``."""
    give_up_at = time.monotonic() + within_seconds
    while not is_so():
        if time.monotonic() > give_up_at:
            raise Late(f"{what} did not come about within {within_seconds:g} s")
        time.sleep(pause_seconds)
