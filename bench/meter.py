"""``Meter``: memory and CPU time of process trees while something is measured, from Linux' ``/proc``."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PROC = Path("/proc")

PERIOD_SECONDS = 0.1


class Usage(NamedTuple):
    """Of a process and all below it."""

    cpu_seconds: float
    """Since they started, with that of children that have ended and were waited for."""
    rss_bytes: int


def usage_of(pid: int) -> Usage:
    """Zero where the process is gone, or the system has no ``/proc``."""
    cpu_ticks = rss_pages = 0
    for one in _tree(pid):
        try:
            fields = (_PROC / str(one) / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        cpu_ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime: fields 14 to 17 in proc(5)
        rss_pages += int(fields[21])
    return Usage(cpu_ticks / _TICKS, rss_pages * _PAGE)


def _tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        for task in (_PROC / str(pid) / "task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _tree(int(child))
    except OSError:
        return


class Reading(NamedTuple):
    """One look."""

    at: float
    """CLOCK_MONOTONIC."""
    worker: Usage
    server_cpu_seconds: float


class Meter:
    """Looks ten times a second at a worker's tree and at the servers'."""

    def __init__(self, worker_pids: list[int], server_pids: list[int]) -> None:
        self._worker_pids = worker_pids
        self._server_pids = server_pids
        self.readings: list[Reading] = []
        self._over = threading.Event()

    def _look(self) -> None:
        workers = [usage_of(pid) for pid in self._worker_pids]
        servers = sum(usage_of(pid).cpu_seconds for pid in self._server_pids)
        total = Usage(sum(w.cpu_seconds for w in workers), sum(w.rss_bytes for w in workers))
        self.readings.append(Reading(time.monotonic(), total, servers))

    def _run(self) -> None:
        while not self._over.wait(PERIOD_SECONDS):
            self._look()

    @contextmanager
    def running(self) -> Iterator[Meter]:
        """Look before, while and after."""
        self._look()
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()
            self._look()

    def values(self, jobs: int, since: float) -> dict[str, float]:
        """Largest memory, and CPU time per 10,000 jobs from the last look before ``since`` on: starting is no job."""
        first = max((r for r in self.readings if r.at <= since), default=self.readings[0], key=lambda r: r.at)
        last = self.readings[-1]
        per_10k = 10_000 / jobs
        return {
            "rss_mib": max(reading.worker.rss_bytes for reading in self.readings) / 2**20,
            "worker_cpu_seconds_per_10k": (last.worker.cpu_seconds - first.worker.cpu_seconds) * per_10k,
            "server_cpu_seconds_per_10k": (last.server_cpu_seconds - first.server_cpu_seconds) * per_10k,
        }
