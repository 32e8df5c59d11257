"""``TreadleSide``: Treadle, through its own doors: ``treadle api``, ``treadle worker``, HTTP."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

import treadle
from bench.connection import Connection
from bench.marks import MARK_SECONDS, read_starts, wait_until
from bench.program import ProgramFailed, Running, running
from bench.servers import Ground
from bench.side import SLOTS, START_SECONDS, About, latency_values, timed_drain
from bench.verdict import TREADLE
from bench.wrk import load
from tests.servers.ports import free_ports

_ROOT = Path(__file__).resolve().parents[1]
CHILD_PATH = f"{_ROOT}:{_ROOT / 'src'}"
"""Where our own programs find this package, and Treadle beside it."""
BATCH = 10_000
"""Jobs in one request: the most that ``POST /jobs/batch`` takes."""
BATCHES_IN_FLIGHT = 4
CONNECTIONS = 64
PING_GAP_SECONDS = 0.05
DRAIN_SLOTS = 1000
"""For the drain beside peers: docs/settings.md advises hundreds for short coroutines. What others take at once and keep
in hand has other names: Graphile Worker's local queue has 500 places beside its slots, PgQueuer's batch is of 300 with
no limit of what runs, pg-boss's of 1,000, and in BullMQ and the others a place is a slot."""

_IS_DONE = """\
SELECT NOT EXISTS (SELECT FROM jobs WHERE status = 'queued')
   AND NOT EXISTS (SELECT FROM jobs WHERE status = 'processing')"""


class TreadleSide:
    """Default durability, one API process, one worker process with 64 slots."""

    name = TREADLE

    def __init__(self, limit_seconds: float) -> None:
        self.limit_seconds = limit_seconds

    def about(self, ground: Ground) -> About:
        """See ``Side``."""
        return About(
            name="Treadle",
            package="treadle",
            version=_version(),
            language="Python",
            store="PostgreSQL",
            page="docs/settings.md",
            settings={
                "TREADLE_CONCURRENCY": SLOTS,
                "TREADLE_CONCURRENCY of a drain": DRAIN_SLOTS,
                "everything else": "as shipped",
            },
            history="the job's row, for 7 days",
            after_kill="run again by another worker once the lease (15 s) has lapsed",
            submits=["one", "in_flight", "bulk"],
        )

    def drain(self, ground: Ground, jobs: int, workers: int = 1, slots: int = SLOTS) -> dict[str, float]:
        """See ``Side``. ``workers`` share the slots."""
        with self.api(ground) as port:
            submit_batches(port, noops(jobs))
        ground.settle_loaded()
        return self.work_off(ground, jobs, workers, {"TREADLE_CONCURRENCY": str(slots // workers)})

    def work_off(
        self, ground: Ground, jobs: int, workers: int = 1, settings: Mapping[str, str] | None = None
    ) -> dict[str, float]:
        """Jobs that are there already, by so many workers that share the slots."""
        with ExitStack() as stack:
            end = stack.enter_context(self._watching(ground, jobs))
            own = {"TREADLE_CONCURRENCY": str(SLOTS // workers), **(settings or {})}
            running_ones = [stack.enter_context(self.worker(ground, own, str(n))) for n in range(workers)]
            return timed_drain(ground, running_ones, jobs, end)

    def submit(self, ground: Ground, how: str, jobs: int) -> dict[str, float]:
        """See ``Side``; only ``bulk`` is counted in jobs."""
        if how != "bulk":
            raise ValueError(f"{how}: see submit_for")
        bodies = list(noops(jobs))
        with self.api(ground) as port:
            ground.settle()
            seconds = submit_batches(port, bodies)
            _check_rows(ground, jobs, jobs)
        return {"jobs_per_second": jobs / seconds, "seconds": seconds, "jobs": jobs}

    def submit_for(self, ground: Ground, seconds: float, connections: int = CONNECTIONS) -> dict[str, float]:
        """One by one: each connection waits for its 201, which follows the commit, before it sends the next job."""
        with self.api(ground) as port:
            before = _rows(ground)
            ground.settle()
            done = load(port, connections, seconds)
            if done.others or done.broken:
                raise ProgramFailed(f"{done.others} answers were no 201, {done.broken} connections broke")
            # Those that wrk hung up on in the middle may be in the table without an answer.
            wait_until(lambda: _rows(ground) - before >= done.created, within_seconds=5, what="a row for every 201")
            _check_rows(ground, before + done.created, before + done.created + connections)
        return {
            "jobs_per_second": done.created / done.seconds,
            "seconds": done.seconds,
            "jobs": done.created,
            "p50_ms": done.p50_ms,
            "p99_ms": done.p99_ms,
        }

    def ping(self, ground: Ground, count: int) -> dict[str, float]:
        """See ``Side``."""
        with self.api(ground) as port, self.worker(ground), Connection(port) as connection:
            latencies = [self._ping_once(ground, connection, n) for n in range(count + 1)]
        return latency_values(latencies[1:])  # when the first one is through, the worker is surely up

    def _ping_once(self, ground: Ground, connection: Connection, n: int) -> float:
        before = read_starts(ground.folder).jobs
        begun_at = time.monotonic()
        answer = connection.post("/jobs", b'{"type":"NOOP","payload":{"n":%d}}' % n)
        if answer.status != 201:
            raise ProgramFailed(f"POST /jobs: {answer}")
        wait_until(
            lambda: read_starts(ground.folder).jobs > before,
            within_seconds=START_SECONDS, pause_seconds=MARK_SECONDS, what="the handler's start",
        )  # fmt: skip
        latency_ms = (read_starts(ground.folder).last - begun_at) * 1000
        time.sleep(PING_GAP_SECONDS * random.uniform(0.5, 1.5))
        return latency_ms

    # ---------------------------------------------------------------------------------------------- processes

    @contextmanager
    def api(self, ground: Ground, settings: Mapping[str, str] | None = None) -> Iterator[int]:
        """``treadle api``, ready; its port."""
        with self.api_process(ground, settings) as (port, _):
            yield port

    @contextmanager
    def api_process(self, ground: Ground, settings: Mapping[str, str] | None = None) -> Iterator[tuple[int, Running]]:
        """``treadle api``, ready; its port and its process."""
        (port,) = free_ports(1)
        with self._process(ground, "api", {"API_PORT": str(port), **(settings or {})}) as api:

            def is_ready() -> bool:
                api.check()
                with suppress(OSError), Connection(port) as connection:
                    return connection.get("/health").status == 200
                return False

            wait_until(is_ready, within_seconds=START_SECONDS, pause_seconds=0.05, what="treadle api")
            yield port, api

    @contextmanager
    def worker(self, ground: Ground, settings: Mapping[str, str] | None = None, name: str = "") -> Iterator[Running]:
        """``treadle worker``, started and not waited for."""
        with self._process(ground, "worker", {"TREADLE_CONCURRENCY": str(SLOTS), **(settings or {})}, name) as worker:
            yield worker

    @contextmanager
    def _process(self, ground: Ground, room: str, settings: Mapping[str, str], name: str = "") -> Iterator[Running]:
        environment = {
            **ground.environment,
            "PYTHONPATH": CHILD_PATH,
            "TREADLE_APP": "bench.app:app",
            "TREADLE_OUTPUT_DIR": str(ground.folder / "output"),
            "TREADLE_DATA_DIR": str(ground.folder / "data"),
            "TREADLE_LOG_LEVEL": "warning",
            **settings,
        }
        command = [sys.executable, "-m", "treadle", room]
        with running(command, environment, ground.folder / f"{room}{name}.log") as process:
            yield process

    @contextmanager
    def _watching(self, ground: Ground, jobs: int) -> Iterator[Any]:
        """A function that returns once no job is queued or in hand, with the moment on CLOCK_MONOTONIC."""
        with psycopg.connect(ground.database_url, autocommit=True) as connection:
            # An empty line is seen in its index; the planner would rather read a whole table of finished jobs.
            connection.execute("SET enable_seqscan = off")

            def is_done() -> bool:
                if read_starts(ground.folder).jobs < jobs:
                    return False
                row = connection.execute(_IS_DONE).fetchone()
                return bool(row and row[0])

            def end() -> float:
                wait_until(is_done, within_seconds=self.limit_seconds, what=f"the end of {jobs} jobs")
                return time.monotonic()

            yield end


def _version() -> str:
    """With the commit, where this is a clone."""
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # no git
        return treadle.__version__
    return f"{treadle.__version__} ({said.stdout.strip()})" if said.returncode == 0 else treadle.__version__


def noops(jobs: int) -> Iterator[bytes]:
    """Bodies for ``POST /jobs/batch``."""
    numbers = iter(range(jobs))
    while some := list(itertools.islice(numbers, BATCH)):
        yield b'{"jobs":[' + b",".join(b'{"type":"NOOP","payload":{"n":%d}}' % n for n in some) + b"]}"


def submit_batches(port: int, bodies: Iterator[bytes] | list[bytes]) -> float:
    """Send them all, four at a time; seconds until the last is answered. Raises ``ProgramFailed``."""
    lock = threading.Lock()
    left = iter(bodies)
    failures: list[str] = []

    def send() -> None:
        try:
            with Connection(port) as connection:
                while not failures:
                    with lock:
                        body = next(left, None)
                    if body is None:
                        return
                    answer = connection.post("/jobs/batch", body)
                    if answer.status != 201:
                        failures.append(f"POST /jobs/batch: {answer.status} {answer.body[:300]!r}")
        except OSError as error:
            failures.append(f"POST /jobs/batch: {error}")

    threads = [threading.Thread(target=send, daemon=True) for _ in range(BATCHES_IN_FLIGHT)]
    begun_at = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - begun_at
    if failures:
        raise ProgramFailed(failures[0])
    return seconds


def submit_singly(port: int, bodies: Sequence[bytes]) -> None:
    """One after the other. Raises ``ProgramFailed``."""
    with Connection(port) as connection:
        for body in bodies:
            answer = connection.post("/jobs", body)
            if answer.status != 201:
                raise ProgramFailed(f"POST /jobs: {answer.status} {answer.body[:300]!r}")


def _rows(ground: Ground) -> int:
    with psycopg.connect(ground.database_url, autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM jobs").fetchone()
    return int(row[0]) if row else 0


def _check_rows(ground: Ground, least: int, most: int) -> None:
    rows = _rows(ground)
    if not least <= rows <= most:
        raise ProgramFailed(f"the table has {rows} rows; the answers said {least} to {most}")
