"""Counts of processes that serve one port, in memory that they share: whoever is scraped tells the sum.

Nobody is asked, so that no scrape waits for a process that hangs, and nothing that was told is ever told smaller: what
a process tells of itself it has put here first, and who takes a dead one's place goes on with what that one had put.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import msgspec

from treadle.telemetry.meters import Labels, Reading
from treadle.telemetry.metrics import Metrics

PUT_SECONDS = 1.0
"""How often each process puts its counts: so much of them is lost with it when it is killed."""
HALF_BYTES = 4 * 1024 * 1024
"""For one process's counts at the bounds of ``meters``; of what is never written the system keeps no page."""
PROCESS_SECONDS = "process_cpu_seconds_total"
"""Counted here: read from the living alone, it would fall with every process that dies."""
_LOOKS = 1000
_HEAD = struct.Struct("<II")  # the length in bytes and the CRC-32 of what follows
_PLACE_BYTES = mmap.PAGESIZE + 2 * HALF_BYTES


@dataclass(frozen=True, slots=True)
class Put:
    """What one process has put: its id and its counters and histograms."""

    pid: int
    readings: list[Reading]


@dataclass(frozen=True, slots=True)
class Told:
    """What a scrape is answered with. ``pids``: whose memory and open files are added up; none, this process's own."""

    readings: Sequence[Reading]
    pids: tuple[int, ...] = ()


class Shelf:
    """A place for each of ``count`` processes, made before they are forked. A place has one writer."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._memory = mmap.mmap(-1, count * _PLACE_BYTES)

    def put(self, number: int, what: Put) -> None:
        """Replace what is in a place; killed in the midst of it, the writer leaves what was there.

        Raises ``ValueError`` where it is too large for its place.
        """
        written = msgspec.msgpack.encode(what)
        if len(written) > HALF_BYTES - _HEAD.size:
            raise ValueError(f"{len(written)} bytes of counts are too many to share")
        place = number * _PLACE_BYTES
        half = 1 - self._memory[place]
        start = place + mmap.PAGESIZE + half * HALF_BYTES
        head = _HEAD.pack(len(written), zlib.crc32(written))
        self._memory[start : start + _HEAD.size + len(written)] = head + written
        self._memory[place] = half

    def get(self, number: int) -> Put | None:
        """What is in a place; ``None`` before anything was put."""
        place = number * _PLACE_BYTES
        for _ in range(_LOOKS):  # written twice while it was read, it does not fit its sum
            start = place + mmap.PAGESIZE + self._memory[place] * HALF_BYTES
            length, checksum = _HEAD.unpack_from(self._memory, start)
            written = self._memory[start + _HEAD.size : start + _HEAD.size + length]
            if zlib.crc32(written) == checksum:
                return msgspec.msgpack.decode(written, type=Put) if written else None
        raise ValueError("what a process has put cannot be read")


class SharedCounts:
    """One process's counts, and those of its siblings."""

    def __init__(self, metrics: Metrics, shelf: Shelf, number: int) -> None:
        self._metrics = metrics
        self._shelf = shelf
        self._number = number
        before = shelf.get(number)
        self._before = [] if before is None else before.readings

    def put(self) -> None:
        """Let the siblings know."""
        counts = [reading for reading in self._metrics.read() if reading.kind != "gauge"]
        cpu = Reading(PROCESS_SECONDS, "counter", "CPU time of all processes", (), (), {(): (time.process_time(),)})
        self._shelf.put(self._number, Put(os.getpid(), added([*self._before, *counts, cpu])))

    def tell(self) -> Told:
        """The sums of counters and histograms. Gauges are this process's: they speak of what all of them share."""
        self.put()
        found = [put for number in range(self._shelf.count) if (put := self._shelf.get(number)) is not None]
        gauges = [reading for reading in self._metrics.read() if reading.kind == "gauge"]
        sums = added(reading for put in found for reading in put.readings)
        return Told([*sums, *gauges], (os.getppid(), *(put.pid for put in found)))


def added(readings: Iterable[Reading]) -> list[Reading]:
    """Readings of one name made one: of each series the sum."""
    sums: dict[str, Reading] = {}
    for reading in readings:
        before = sums.get(reading.name)
        if before is None:
            sums[reading.name] = reading
            continue
        series: dict[Labels, Sequence[float]] = dict(before.series)
        for labels, values in reading.series.items():
            known = series.get(labels)
            series[labels] = values if known is None else [sum(pair) for pair in zip(known, values, strict=True)]
        sums[reading.name] = replace(before, series=series)
    return [*sums.values()]
