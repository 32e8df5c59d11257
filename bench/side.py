"""``Side``: what Treadle and every peer can be asked to do, and the one way in which a drain is timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from bench.marks import read_starts, wait_until
from bench.meter import Meter
from bench.program import Running
from bench.servers import Ground

SLOTS = 64
"""Of every worker: a thread, coroutine or unit of concurrency each, whatever a system calls it."""

START_SECONDS = 60.0
"""For a worker to start its first handler."""


class About(msgspec.Struct, frozen=True):
    """A system in its own words, from its program."""

    name: str
    package: str
    version: str
    language: str
    store: str
    page: str
    """Where its documentation says what ``settings`` has."""
    settings: Mapping[str, Any] = {}
    history: str = ""
    """What is kept of a finished job."""
    after_kill: str = ""
    """What becomes of jobs in hand when the worker is killed, by its documentation."""
    submits: Sequence[str] = ()
    """Of ``one``, ``in_flight`` and ``bulk``."""


class Side(Protocol):
    """All of them raise ``ProgramFailed`` or ``Late`` where the system does not do it."""

    name: str

    def about(self, ground: Ground) -> About:
        """Who it is; starts nothing."""

    def drain(self, ground: Ground, jobs: int) -> dict[str, float]:
        """Jobs submitted while no worker runs, then one worker."""

    def submit(self, ground: Ground, how: str, jobs: int) -> dict[str, float]:
        """No-op jobs; the clock ends when the last one is acknowledged."""

    def ping(self, ground: Ground, count: int) -> dict[str, float]:
        """One job at a time for an idle worker: from before the submission to the handler's start."""


def timed_drain(ground: Ground, workers: Sequence[Running], jobs: int, end: Callable[[], float]) -> dict[str, float]:
    """From the first handler's start to ``end()``: when the last commit was visible, on CLOCK_MONOTONIC."""
    meter = Meter([worker.pid for worker in workers], list(ground.server_pids))

    def has_begun() -> bool:
        for worker in workers:
            worker.check()
        return read_starts(ground.folder).jobs > 0

    with meter.running():
        wait_until(has_begun, within_seconds=START_SECONDS, what="the first handler's start")
        ended_at = end()
    first = read_starts(ground.folder).first
    seconds = ended_at - first
    return {"jobs_per_second": jobs / seconds, "seconds": seconds, "jobs": jobs, **meter.values(jobs, first)}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that ``share`` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-len(ordered) * share // 1) - 1))]


def latency_values(latencies_ms: Sequence[float]) -> dict[str, float]:
    """Of pings."""
    return {
        "p50_ms": percentile(latencies_ms, 0.5),
        "p99_ms": percentile(latencies_ms, 0.99),
        "max_ms": max(latencies_ms),
        "pings": len(latencies_ms),
    }
