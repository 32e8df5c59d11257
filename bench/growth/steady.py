"""``Steady``: Treadle in a steady state: workers take jobs off the front of a backlog, and as many join at its end.

So a point of a curve is one state and not a way through many: a drain begins with all the backlog and ends with none.
What is counted is CPU time, of all that Treadle makes work: the machine's other guests change how long a job takes,
and hardly how much of a processor it needs.
"""

from __future__ import annotations

import base64
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import msgspec

from bench.connection import Connection
from bench.growth.backlog import queue_up
from bench.history import fill
from bench.marks import read_starts, wait_until
from bench.meter import usage_of
from bench.program import ProgramFailed, Running
from bench.servers import Ground
from bench.side import SLOTS, START_SECONDS
from bench.treadle_side import TreadleSide, submit_batches

WARM_SECONDS = 1.0
"""From the first start in every worker until the first look."""
PARTS = ("worker", "api", "postgres", "redis")
"""Whose CPU time a job's is."""

_SENDERS = 2
_LOOK_SECONDS = 0.002
_IDLE_SECONDS = 1.0
"""After which a connection is made anew: the API closes one that is idle for some seconds."""
_BODY_JOBS = 1_000
_BODY_BYTES = 1_000_000
_BACKLOG_BYTES = 50_000_000
"""Of large payloads no more are kept waiting: what is asked is what one costs."""
_LOADED_JOBS = 10_000
"""In a request while the backlog is made."""


class Shape(msgspec.Struct, frozen=True):
    """A state in which a job's cost is asked for."""

    backlog: int = 5_000
    history: int = 0
    payload_bytes: int = 0
    """Zero: the no-op job's own payload, ``{"n":1}``."""
    slots: int = SLOTS
    processes: int = 1
    """Which share the slots."""

    @property
    def waiting(self) -> int:
        """Jobs that are kept waiting."""
        return min(self.backlog, max(100, _BACKLOG_BYTES // max(1, self.payload_bytes)))

    @property
    def together(self) -> int:
        """Jobs in a request."""
        return max(1, min(_BODY_JOBS, self.waiting // 2, _BODY_BYTES // max(1, self.payload_bytes)))


def job_of(payload_bytes: int) -> bytes:
    """One in a request, with a payload of about so many bytes that no compression makes smaller by much."""
    if not payload_bytes:
        return b'{"type":"NOOP","payload":{"n":1}}'
    room = max(1, payload_bytes - len('{"text":""}'))
    text = base64.b64encode(random.Random(payload_bytes).randbytes(room))[:room]
    return b'{"type":"CARRY","payload":{"text":"' + text + b'"}}'


def body_of(job: bytes, jobs: int) -> bytes:
    """For ``POST /jobs/batch``."""
    return b'{"jobs":[' + b",".join([job] * jobs) + b"]}"


class Feeder:
    """Sends jobs whenever fewer than ``waiting`` of them wait."""

    def __init__(self, port: int, ground: Ground, shape: Shape, sent: int) -> None:
        self._port = port
        self._folder = ground.folder
        self._waiting = shape.waiting
        self._together = shape.together
        self._body = body_of(job_of(shape.payload_bytes), self._together)
        self._sent = sent
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._failure = ""
        self.least = self._waiting
        """The fewest that were seen to wait; may be set back."""

    @contextmanager
    def running(self) -> Iterator[Feeder]:
        """Send until the block ends."""
        threads = [threading.Thread(target=self._send, daemon=True) for _ in range(_SENDERS)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def check(self) -> None:
        """Raises ``ProgramFailed`` where a request was refused: nothing is fed any more."""
        if self._failure:
            raise ProgramFailed(self._failure)

    def _send(self) -> None:
        try:
            while not self._over.is_set() and not self._failure:
                with Connection(self._port) as connection:
                    self._send_on(connection)
        except OSError as error:
            self._failure = f"POST /jobs/batch: {error}"

    def _send_on(self, connection: Connection) -> None:
        """Until it has been idle so long that the API may close it, or all is over."""
        used_at = time.monotonic()
        while not self._over.is_set() and not self._failure and time.monotonic() - used_at < _IDLE_SECONDS:
            if not self._wants_more():
                time.sleep(_LOOK_SECONDS)
                continue
            answer = connection.post("/jobs/batch", self._body)
            used_at = time.monotonic()
            if answer.status != 201:
                self._failure = f"POST /jobs/batch: {answer.status} {answer.body[:300]!r}"

    def _wants_more(self) -> bool:
        started = read_starts(self._folder).jobs
        with self._lock:
            self.least = min(self.least, self._sent - started)
            if self._sent - started >= self._waiting:
                return False
            self._sent += self._together
            return True


class Steady:
    """One that runs; ``watch`` looks at it."""

    def __init__(self, ground: Ground, api: Running, workers: list[Running], feeder: Feeder) -> None:
        self._ground = ground
        self._api = api
        self._workers = workers
        self._feeder = feeder

    def watch(self, seconds: float) -> dict[str, float]:
        """Microseconds of CPU a job of each part and of all, jobs a second, and the fewest jobs that waited."""
        self._feeder.least = 10**9
        begun_at, jobs, cpu = time.monotonic(), read_starts(self._ground.folder).jobs, self._cpu_seconds()
        time.sleep(seconds)
        self.check()
        done = read_starts(self._ground.folder).jobs - jobs
        taken = [now - before for now, before in zip(self._cpu_seconds(), cpu, strict=True)]
        passed = time.monotonic() - begun_at
        if not done:
            raise ProgramFailed(f"no job was started within {seconds:g} s")
        parts = {f"{part}_us": used * 1e6 / done for part, used in zip(PARTS, taken, strict=True)}
        return {
            "cpu_us": sum(parts.values()),
            **parts,
            "jobs_per_second": done / passed,
            "jobs": done,
            "least_waiting": self._feeder.least,
        }

    def check(self) -> None:
        """Raises ``ProgramFailed`` where anything of it has ended or was refused."""
        for program in (self._api, *self._workers):
            program.check()
        self._feeder.check()

    def _cpu_seconds(self) -> list[float]:
        workers = sum(usage_of(worker.pid).cpu_seconds for worker in self._workers)
        return [workers, *(usage_of(pid).cpu_seconds for pid in (self._api.pid, *self._ground.server_pids))]


@contextmanager
def steady(treadle: TreadleSide, ground: Ground, shape: Shape) -> Iterator[Steady]:
    """Made, warmed up, and ended with the block."""
    with ExitStack() as stack:
        port, api = stack.enter_context(treadle.api_process(ground))
        if shape.history:
            fill(ground, shape.history)
        if shape.payload_bytes:
            submit_batches(port, _loads(shape))
        else:
            queue_up(ground, shape.waiting)
        ground.settle_loaded()
        slots = {"TREADLE_CONCURRENCY": str(shape.slots // shape.processes)}
        workers = [stack.enter_context(treadle.worker(ground, slots, str(n))) for n in range(shape.processes)]
        feeder = stack.enter_context(Feeder(port, ground, shape, shape.waiting).running())
        state = Steady(ground, api, workers, feeder)

        def have_begun() -> bool:
            state.check()
            return len(list(ground.folder.glob("starts-*"))) == shape.processes

        wait_until(have_begun, within_seconds=START_SECONDS, what="a start in every worker")
        time.sleep(WARM_SECONDS)
        yield state


def _loads(shape: Shape) -> Iterator[bytes]:
    job = job_of(shape.payload_bytes)
    left = shape.waiting
    most = max(1, min(_LOADED_JOBS, _BODY_BYTES // len(job)))
    while left > 0:
        yield body_of(job, min(most, left))
        left -= min(most, left)
