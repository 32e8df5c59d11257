"""``Peer``: somebody else's system, driven through its program in ``bench/peers`` by the contract in ``README.md``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec

from bench.program import ProgramFailed, Running, answer, running
from bench.servers import Ground
from bench.side import SLOTS, START_SECONDS, About, latency_values, timed_drain

_FASTEST_FIRST = ("bulk", "in_flight", "one")


class Peer:
    """One program. ``command``: the interpreter of its own environment, and its file."""

    def __init__(self, name: str, command: Sequence[str], limit_seconds: float) -> None:
        self.name = name
        self._command = command
        self._limit_seconds = limit_seconds
        self._about: About | None = None

    def about(self, ground: Ground) -> About:
        """See ``Side``. Asked once."""
        if self._about is None:
            self._about = msgspec.convert(self._answer(ground, "about"), About)
        return self._about

    def drain(self, ground: Ground, jobs: int) -> dict[str, float]:
        """See ``Side``."""
        offered = self.about(ground).submits
        self._answer(ground, "prepare")
        how = next(how for how in _FASTEST_FIRST if how in offered)
        self._submit(ground, how, jobs)
        ground.settle_loaded()
        with self._running(ground, "watch", "--jobs", str(jobs)) as watch:
            watch.line(START_SECONDS)

            def end() -> float:
                return float(watch.line(self._limit_seconds)["empty_at"])

            with self._running(ground, "work", "--jobs", str(jobs), "--slots", str(SLOTS)) as worker:
                return timed_drain(ground, [worker], jobs, end)

    def submit(self, ground: Ground, how: str, jobs: int) -> dict[str, float]:
        """See ``Side``."""
        self._answer(ground, "prepare")
        ground.settle()
        said = self._submit(ground, how, jobs)
        if said["jobs"] != jobs:
            raise ProgramFailed(f"{self.name} submitted {said['jobs']} of {jobs} jobs")
        return {"jobs_per_second": jobs / said["seconds"], "seconds": said["seconds"], "jobs": jobs}

    def ping(self, ground: Ground, count: int) -> dict[str, float]:
        """See ``Side``. One more before them, not counted: when it is through, the worker is surely up."""
        self._answer(ground, "prepare")
        with self._running(ground, "work", "--jobs", "0", "--slots", str(SLOTS)) as worker:
            self._answer(ground, "ping", "--count", "1", "--gap", "0.05")
            worker.check()
            latencies = self._answer(ground, "ping", "--count", str(count), "--gap", "0.05")["latencies_ms"]
        if len(latencies) != count:
            raise ProgramFailed(f"{self.name}: {count} pings gave {len(latencies)} latencies")
        return latency_values(latencies)

    def _submit(self, ground: Ground, how: str, jobs: int) -> dict[str, Any]:
        return self._answer(ground, "submit", "--how", how, "--jobs", str(jobs), "--in-flight", "100")

    def _answer(self, ground: Ground, *arguments: str) -> dict[str, Any]:
        return answer(
            [*self._command, *arguments], ground.environment, _log(ground, arguments[0]),
            within_seconds=self._limit_seconds,
        )  # fmt: skip

    def _running(self, ground: Ground, *arguments: str) -> AbstractContextManager[Running]:
        return running([*self._command, *arguments], ground.environment, _log(ground, arguments[0]))


def _log(ground: Ground, command: str) -> Path:
    return ground.folder / f"{command}.log"
