"""What every peer of the comparison must be able to do, and the commands made of it.

A peer is one program, `bench/peers/NAME.py`, run by an environment of its own. Its answers are JSON, one object a line,
on standard output; whatever it logs goes to standard error. Only the standard library is imported here: the same file
serves environments that have nothing else in common.

A peer's file usually bears the name of the package that it measures, and Python looks first into the folder of the
program. So each begins by sending that folder to the end of the list, or it would import itself:

    import sys

    sys.path.append(sys.path.pop(0))

    import celery

    from contract import Peer, main, started

Read from the environment: `BENCH_DIR` (the folder of this run's marks), `DATABASE_URL`, `REDIS_URL`.

Times are seconds of `CLOCK_MONOTONIC`, which all processes of one machine share. `time.monotonic` reads it on Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
import mmap
import os
import random
import signal
import struct
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, Literal

How = Literal["one", "in_flight", "bulk"]

POLL_SECONDS = 0.01
"""Pause between two looks of `watch`."""

MARK_POLL_SECONDS = 0.0003
"""Pause between two looks of `ping`: what a latency may be read too late does not enter it, the mark holds the time."""

PING_PATIENCE_SECONDS = 60.0
"""A job that has not started by then is taken for lost, and `ping` fails."""

_COUNT = struct.Struct("<q")
_TIMES = struct.Struct("<dd")
_MARK_BYTES = _COUNT.size + _TIMES.size


def payload(number: int) -> dict[str, int]:
    """What every job of every peer carries."""
    return {"n": number}


def payload_json(number: int) -> bytes:
    """The same for peers that take bytes and leave the writing to their users."""
    return json.dumps(payload(number)).encode()


def database_url() -> str:
    """`postgresql://…` of an empty database and its superuser. KeyError if the environment does not say."""
    return os.environ["DATABASE_URL"]


def redis_url() -> str:
    """`redis://127.0.0.1:PORT/0`. KeyError if the environment does not say."""
    return os.environ["REDIS_URL"]


def bench_dir() -> Path:
    """The folder of this run's marks. KeyError if the environment does not say."""
    return Path(os.environ["BENCH_DIR"])


# ---------------------------------------------------------------------------------------------- marks, written


class _Mark:
    """The mark of one worker process: `starts-<pid>`, count (int64), first and last start (float64), little-endian.

    A map of a file costs no system call a job and outlives a kill. The times are stored before the count, so who reads
    a raised count finds its time there already.
    """

    def __init__(self, directory: Path, process_id: int) -> None:
        descriptor = os.open(directory / f"starts-{process_id}", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.ftruncate(descriptor, _MARK_BYTES)
            self._map = mmap.mmap(descriptor, _MARK_BYTES)
        finally:
            os.close(descriptor)
        self._count: int = _COUNT.unpack_from(self._map, 0)[0]
        self._first: float = _TIMES.unpack_from(self._map, _COUNT.size)[0]
        self._lock = threading.Lock()

    def add(self) -> None:
        now = time.monotonic()
        with self._lock:
            if not self._count:
                self._first = now
            self._count += 1
            _TIMES.pack_into(self._map, _COUNT.size, self._first, now)
            _COUNT.pack_into(self._map, 0, self._count)


_mark: _Mark | None = None
_mark_lock = threading.Lock()


def started() -> None:
    """Notes the start of one job. Every handler's only line; safe in threads and after a fork."""
    (_mark or _own_mark()).add()


def _own_mark() -> _Mark:
    global _mark
    with _mark_lock:
        if _mark is None:
            _mark = _Mark(bench_dir(), os.getpid())
        return _mark


def _forget_mark() -> None:
    """A forked child keeps a mark of its own, and locks that nobody held when it was born."""
    global _mark, _mark_lock
    _mark = None
    _mark_lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_mark)


# ------------------------------------------------------------------------------------------------- marks, read


class Starts:
    """The marks of all worker processes of a run, read while they are being written."""

    RESCAN_LOOKS: ClassVar[int] = 20
    """The folder is listed at every so many looks: the marks of processes born meanwhile are found then."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._maps: dict[str, mmap.mmap] = {}
        self._looks = 0
        self._scan()

    def count(self) -> int:
        """Starts so far, of all processes."""
        self._looks += 1
        if not self._maps or self._looks % self.RESCAN_LOOKS == 0:
            self._scan()
        return sum(_COUNT.unpack_from(each, 0)[0] for each in self._maps.values())

    def last(self) -> float:
        """CLOCK_MONOTONIC of the latest start, 0.0 before the first one."""
        return max((_TIMES.unpack_from(each, _COUNT.size)[1] for each in self._maps.values()), default=0.0)

    def _scan(self) -> None:
        for entry in os.scandir(self._directory):
            if not entry.name.startswith("starts-") or entry.name in self._maps:
                continue
            if entry.stat().st_size < _MARK_BYTES:
                continue  # born this moment; the next look finds it whole
            with Path(entry.path).open("rb") as file:
                self._maps[entry.name] = mmap.mmap(file.fileno(), _MARK_BYTES, access=mmap.ACCESS_READ)


# ------------------------------------------------------------------------------------------------------- a peer


class Peer(ABC):
    """One system under comparison. The class holds what `about` says, the methods do the work."""

    name: ClassVar[str]
    package: ClassVar[str]
    """As the registry spells it; `about` reads the installed version by it."""
    store: ClassVar[Literal["PostgreSQL", "Redis"]]
    page: ClassVar[str]
    """Address of the documentation page that the settings come from."""
    settings: ClassVar[dict[str, Any]]
    """The settings that differ from the package's defaults, and the defaults that matter here."""
    history: ClassVar[str]
    """What is kept of a finished job."""
    after_kill: ClassVar[str]
    """What becomes of the jobs in hand after kill -9, by the documentation."""
    submits: ClassVar[tuple[How, ...]] = ("one",)
    """The ways of submitting that it offers."""

    batch_jobs: ClassVar[int] = 1_000
    """Jobs a call of `submit_many`: its best size, at most 10,000."""
    last_start_counts: ClassVar[bool] = False
    """True where finishing leaves no trace in the store (deleted at the pop): the last start then ends the drain."""
    loop_factory: ClassVar[Callable[[], asyncio.AbstractEventLoop] | None] = None
    """The event loop that its documentation advises, such as `uvloop.new_event_loop`. None: the standard one."""

    @abstractmethod
    async def prepare(self) -> None:
        """Drops and makes its schema, or empties its queue."""

    @abstractmethod
    async def connect(self, in_flight: int) -> None:
        """Opens what submitting and `pending` need, and asks the store one question over it.

        in_flight: how many `submit_one` will be awaited at a time; the size of a pool follows from it as documented.
        """

    async def close(self) -> None:  # noqa: B027 - nothing to close is the rule for clients without a pool
        """Closes what `connect` opened. The clock has stopped."""

    @abstractmethod
    async def submit_one(self, number: int) -> None:
        """Submits one job with `payload(number)`, returns when the store has acknowledged it."""

    async def submit_many(self, numbers: Sequence[int]) -> None:
        """Submits a batch by the documented bulk call. Only where `submits` names `bulk`."""
        raise NotImplementedError

    @abstractmethod
    async def pending(self) -> int | bool:
        """Whether any job waits or is in hand: the cheapest question with an exact answer. 0 or False: none."""

    @abstractmethod
    def work(self, jobs: int, slots: int) -> Awaitable[None] | None:
        """Runs one worker until SIGTERM. A coroutine method or a plain one (then called outside of any loop).

        jobs: how many are to be expected; 0 in a run without a set number.
        slots: how many jobs may be in hand at a time.
        """


async def until_terminated() -> None:
    """Returns when the process is sent SIGTERM. For workers that leave signals to their host."""
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    await asked.wait()


# ------------------------------------------------------------------------------------------------ its commands


def main(peer: Peer) -> None:
    """Reads the command line and does what it asks. An error leaves its trace on standard error and exit code 1."""
    asked = _arguments()
    match asked.command:
        case "about":
            _say(_about(peer))
        case "prepare":
            _run(peer, peer.prepare())
            _say({"prepared": True})
        case "submit":
            _run(peer, _submit(peer, asked.how, asked.jobs, asked.in_flight))
        case "work":
            working = peer.work(asked.jobs, asked.slots)
            if inspect.iscoroutine(working):
                _run(peer, working)
        case "watch":
            _run(peer, _watch(peer, asked.jobs))
        case "ping":
            _run(peer, _ping(peer, asked.count, asked.gap))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="One peer of the comparison.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("about", help="what it is, its settings, its promises")
    commands.add_parser("prepare", help="make its schema anew, empty its queue")
    submit = commands.add_parser("submit", help="submit no-op jobs against the clock")
    submit.add_argument("--how", choices=("one", "in_flight", "bulk"), required=True)
    submit.add_argument("--jobs", type=int, required=True)
    submit.add_argument("--in-flight", type=int, default=100, help="submitters at a time, for --how in_flight")
    work = commands.add_parser("work", help="run one worker until SIGTERM")
    work.add_argument("--jobs", type=int, required=True, help="jobs to expect, 0 in an idle run")
    work.add_argument("--slots", type=int, default=64, help="jobs in hand at a time")
    watch = commands.add_parser("watch", help="say when the last job is done")
    watch.add_argument("--jobs", type=int, required=True)
    ping = commands.add_parser("ping", help="time from a submission to the start of its handler, one at a time")
    ping.add_argument("--count", type=int, required=True)
    ping.add_argument("--gap", type=float, default=0.05, help="mean pause between two, in seconds")
    return parser.parse_args()


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def _run(peer: Peer, doing: Coroutine[Any, Any, None]) -> None:
    factory = type(peer).loop_factory
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(doing)


def _about(peer: Peer) -> dict[str, Any]:
    return {
        "name": peer.name,
        "package": peer.package,
        "version": metadata.version(peer.package),
        "language": "Python",
        "store": peer.store,
        "page": peer.page,
        "settings": peer.settings,
        "history": peer.history,
        "after_kill": peer.after_kill,
        "submits": list(peer.submits),
    }


async def _submit(peer: Peer, how: How, jobs: int, in_flight: int) -> None:
    if how not in peer.submits:
        raise SystemExit(f"{peer.name} does not offer --how {how}, only {', '.join(peer.submits)}")
    await peer.connect(in_flight if how == "in_flight" else 1)
    began = time.monotonic()
    if how == "one":
        for number in range(jobs):
            await peer.submit_one(number)
    elif how == "in_flight":
        numbers = iter(range(jobs))
        await asyncio.gather(*(_submitter(peer, numbers) for _ in range(in_flight)))
    else:
        for first in range(0, jobs, peer.batch_jobs):
            await peer.submit_many(range(first, min(first + peer.batch_jobs, jobs)))
    seconds = time.monotonic() - began
    await peer.close()
    _say({"seconds": seconds, "jobs": jobs})


async def _submitter(peer: Peer, numbers: Iterator[int]) -> None:
    for number in numbers:
        await peer.submit_one(number)


async def _watch(peer: Peer, jobs: int) -> None:
    await peer.connect(1)
    _say({"watching": True})
    starts = Starts(bench_dir())
    # The marks first: they cost the store nothing, and before the last start there is nothing to ask it.
    while starts.count() < jobs or await peer.pending():  # noqa: ASYNC110 - another process cannot set an event here
        await asyncio.sleep(POLL_SECONDS)
    _say({"empty_at": starts.last() if peer.last_start_counts else time.monotonic()})
    await peer.close()


async def _ping(peer: Peer, count: int, gap_seconds: float) -> None:
    await peer.connect(1)
    starts = Starts(bench_dir())
    latencies = []
    for number in range(count):
        before = starts.count()
        began = time.monotonic()
        await peer.submit_one(number)
        while starts.count() <= before:
            if time.monotonic() - began > PING_PATIENCE_SECONDS:
                raise TimeoutError(f"job {number} had not started after {PING_PATIENCE_SECONDS:.0f} s")
            time.sleep(MARK_POLL_SECONDS)  # noqa: ASYNC251 - nothing else is to run between the two moments
        latencies.append(round((starts.last() - began) * 1000, 3))
        await asyncio.sleep(gap_seconds * random.uniform(0.5, 1.5))
    _say({"latencies_ms": latencies})
    await peer.close()
