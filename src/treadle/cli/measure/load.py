"""``Load``: some connections, each of which sends its next request when it has the answer to the last one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

from treadle.cli.measure.connection import ANSWER_SECONDS, Connection, Target
from treadle.cli.measure.report import Phase, percentile
from treadle.clock import rising_seconds

LEAVE_SECONDS = 10.0
"""Told to end, it waits so long for answers that are on their way: they name jobs that must not be left behind."""
TELL_SECONDS = 0.25


class Load:
    """One run of it. ``answers`` takes every body that came back, also where the run is ended before its time."""

    def __init__(self, target: Target, answers: list[bytes]) -> None:
        self._target = target
        self._answers = answers
        self._requests: Iterator[bytes] = iter(())
        self._ends_at = 0.0
        self._taken_seconds: list[float] = []

    async def run(
        self, requests: Iterator[bytes], connections: int, seconds: float, tell: Callable[[int], None]
    ) -> tuple[list[float], float, float]:
        """Until there are no more ``requests``, or the time is up.

        Seconds that each took, seconds in all, and how much of one core this process used meanwhile. ``tell`` hears
        now and then how many are answered. Raises what the first answer that is no success means, ``Unavailable``.
        """
        self._requests = requests
        lines = [Connection(self._target) for _ in range(connections)]
        try:
            for line in lines:  # one after the other: no server's backlog is measured here
                await line.open()
            cpu_seconds = time.process_time()
            begun_at = rising_seconds()
            self._ends_at = begun_at + seconds
            await self._race([asyncio.create_task(self._work(line)) for line in lines], tell)
            taken_seconds = rising_seconds() - begun_at
            return self._taken_seconds, taken_seconds, (time.process_time() - cpu_seconds) / taken_seconds
        finally:
            for line in lines:
                line.close()

    async def _race(self, tasks: list[asyncio.Task[None]], tell: Callable[[int], None]) -> None:
        left = set(tasks)
        moved_at, moved = rising_seconds(), 0
        try:
            while left:
                done, left = await asyncio.wait(left, timeout=TELL_SECONDS, return_when=asyncio.FIRST_EXCEPTION)
                for task in done:
                    task.result()
                tell(len(self._taken_seconds))
                if len(self._taken_seconds) > moved:
                    moved_at, moved = rising_seconds(), len(self._taken_seconds)
                elif rising_seconds() - moved_at > ANSWER_SECONDS:
                    raise TimeoutError
        finally:
            self._ends_at = 0.0
            if left:
                await asyncio.wait(left, timeout=LEAVE_SECONDS)
                for task in left:
                    task.cancel()
                await asyncio.gather(*left, return_exceptions=True)

    async def _work(self, line: Connection) -> None:
        taken_seconds, answers, clock = self._taken_seconds, self._answers, rising_seconds
        now = clock()
        while now < self._ends_at:
            request = next(self._requests, None)
            if request is None:
                return
            begun_at = clock()
            answer = await line.exchange(request)
            now = clock()
            taken_seconds.append(now - begun_at)
            answers.append(answer.body)


def phase_of(
    name: str, taken: tuple[list[float], float, float], *, jobs: int | None = None, concurrency: int | None = None
) -> Phase:
    """A run as a line of the report; ``jobs``: where a request is more than one."""
    each_seconds, seconds, own_cpu = taken
    jobs = len(each_seconds) if jobs is None else jobs
    return Phase(
        name=name,
        concurrency=concurrency,
        jobs=jobs,
        seconds=seconds,
        jobs_per_second=jobs / seconds,
        p50_ms=percentile(each_seconds, 0.50) * 1000,
        p99_ms=percentile(each_seconds, 0.99) * 1000,
        own_cpu=own_cpu,
    )
