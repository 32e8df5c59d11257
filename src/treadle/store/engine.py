"""``Engine``: what a database is, and what it does before it says that a commit is done."""

from __future__ import annotations

import msgspec

ROUND_TRIPS = 20
"""How many the median is taken of."""


class Engine(msgspec.Struct, frozen=True):
    """For people who want to know why a figure is what it is."""

    name: str
    """With its version, as ``PostgreSQL 15.14``."""
    durability: dict[str, str]
    """Settings that say what of a commit is on disk when it is acknowledged."""
    round_trip_ms: float | None = None
    """To a server and back, without work; ``None`` where there is no server."""
    flush_ms: float | None = None
    """One page written to the file's own disk and flushed; ``None`` where the disk is somebody else's."""
