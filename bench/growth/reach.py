"""``Reach``: how far a run follows each curve."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Reach(msgspec.Struct, frozen=True):
    """Sizes and durations of a run."""

    rounds: int
    seconds: float
    """For which each point of a curve is measured, after it has warmed up."""
    backlogs: Sequence[int]
    histories: Sequence[int]
    payload_bytes: Sequence[int]
    slots: Sequence[int]
    processes: Sequence[int]
    pin_seconds: float
    """For which a transaction is held open."""
    quiet_seconds: float
    """Measured before and after it."""
    expired_rows: int
    retention_seconds: float
    """Of submissions one by one, with and without retention."""
    busy_seconds: float
    """The same with all connections busy."""
    idle_workers: int
    idle_seconds: float


FULL = Reach(
    rounds=3, seconds=8,
    backlogs=(1_000, 10_000, 100_000, 1_000_000, 10_000_000), histories=(0, 100_000, 1_000_000, 10_000_000),
    payload_bytes=(100, 1_000, 10_000, 100_000, 1_000_000), slots=(1, 4, 16, 64, 256), processes=(1, 2, 4),
    pin_seconds=600, quiet_seconds=30, expired_rows=1_000_000, retention_seconds=120, busy_seconds=20,
    idle_workers=100, idle_seconds=60,
)  # fmt: skip
QUICK = Reach(
    rounds=1, seconds=1.5,
    backlogs=(1_000, 10_000, 100_000, 1_000_000), histories=(0, 100_000, 1_000_000),
    payload_bytes=FULL.payload_bytes, slots=FULL.slots, processes=FULL.processes,
    pin_seconds=60, quiet_seconds=5, expired_rows=1_000_000, retention_seconds=15, busy_seconds=5,
    idle_workers=20, idle_seconds=20,
)  # fmt: skip


def up_to(reach: Reach, rows: int) -> Reach:
    """The same without the points that need more rows than that."""
    return msgspec.structs.replace(
        reach,
        backlogs=[size for size in reach.backlogs if size <= rows],
        histories=[size for size in reach.histories if size <= rows],
        expired_rows=min(reach.expired_rows, rows),
    )
