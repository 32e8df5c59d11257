"""Numbers and moments in words, as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

from treadle.store.protocol import COUNT_CAP

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def span(seconds: float) -> str:
    """A duration in its two largest units: ``12 s``, ``3 min``, ``2 h 5 min``, ``4 d 1 h``."""
    whole = int(seconds)
    if whole < 1:
        return "under 1 s" if seconds > 0 else "0 s"
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return _two(whole, MINUTE, "min", 1, "s", least=10 * MINUTE)
    if whole < DAY:
        return _two(whole, HOUR, "h", MINUTE, "min", least=DAY)
    return _two(whole, DAY, "d", HOUR, "h", least=10 * DAY)


def _two(whole: int, unit: int, name: str, smaller: int, smaller_name: str, *, least: int) -> str:
    """The smaller unit is said only below ``least``: beyond, it means nothing to anybody."""
    rest = whole % unit // smaller
    return f"{whole // unit} {name}" + (f" {rest} {smaller_name}" if rest and whole < least else "")


def ago(moment: datetime, now: datetime) -> str:
    """How long ago, or in how long."""
    seconds = (now - moment).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"{_rough(seconds)} ago" if seconds > 0 else f"in {_rough(-seconds)}"


def _rough(seconds: float) -> str:
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= unit:
            return f"{int(seconds // unit)} {name}"
    return f"{int(seconds)} s"


def exact(moment: datetime) -> str:
    """To the second, in UTC, which is what every replica and every log line means."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def tally(number: int) -> str:
    """A count that stops at ``COUNT_CAP``."""
    return f"{number:,}+" if number >= COUNT_CAP else f"{number:,}"


def size(size_bytes: int) -> str:
    """``812 B``, ``12.4 KiB``, ``3.1 MiB``."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    if size_bytes < 1024 * 1024:
        return f"{size_bytes / 1024:.1f} KiB"
    return f"{size_bytes / 1024 / 1024:.1f} MiB"


def number(value: float) -> str:
    """``12``, ``0.5``, ``1,234,567``."""
    return f"{value:,.12g}"
