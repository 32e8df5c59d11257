"""Inside a child process: one handler at a time, the same executor as in the worker, and a line to the worker.

Everything that counts stays with the worker: the lease, the store, the settle. A child that dies takes one attempt
with it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

from treadle.artifacts.folder import ArtifactFolder
from treadle.clock import AnchoredClock
from treadle.errors import LeaseLost
from treadle.ids import WorkerId
from treadle.jobtype import Registry
from treadle.telemetry.tracing import flush, has_spans
from treadle.worker import messages
from treadle.worker.attempt import Attempt, Home, StopReason
from treadle.worker.executor import Executor
from treadle.worker.handlers import HandlerLoop, HandlerThreads
from treadle.worker.messages import CheckpointSaved, Ends, LeaseValid, Logged, Ready, Run, Stop, ToChild, ToWorker

PROGRESS_SECONDS = 0.5
"""How often progress goes to the worker, which writes it once a second."""
EVER_SECONDS = 366 * 86_400.0
"""The worker kills a child whose handler does not stop; the executor in here need not give up on it."""
FLUSH_SECONDS = 1.0
MAX_LOGGED_CHARACTERS = 8 * 1024
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # prctl(2)


def confine() -> None:
    """Before user code is loaded: die with the worker, and be told of every orphaned grandchild (Linux)."""
    if not sys.platform.startswith("linux"):
        return  # elsewhere the end of the line to the worker ends the child
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def serve(registry: Registry, output_dir: Path, handle: int) -> None:
    """Run what the worker sends over the socket ``handle`` until it hangs up."""
    asyncio.run(_Child(registry, ArtifactFolder(output_dir), socket.socket(fileno=handle)).serve())


class _Child:
    def __init__(self, registry: Registry, artifacts: ArtifactFolder, line: socket.socket) -> None:
        self._registry = registry
        self._artifacts = artifacts
        self._line = line
        self._handlers = HandlerLoop()
        self._executor: Executor
        self._threads_at_rest = 0
        self._lease_valid_until = 0.0
        self._attempt: Attempt | None = None
        self._saved: asyncio.Future[bool] | None = None
        self._saving = asyncio.Lock()
        self._writer: asyncio.StreamWriter

    async def serve(self) -> None:
        self._executor = Executor(self._registry, self._handlers, HandlerThreads(), EVER_SECONDS)
        reader, self._writer = await asyncio.open_connection(sock=self._line)
        _log_to(self._say_from_any_thread(asyncio.get_running_loop()))
        self._handlers.start()
        for hook in self._registry.start_hooks:
            await asyncio.wrap_future(self._handlers.run(_call(hook))[0])
        self._say(Ready())
        running: asyncio.Task[None] | None = None
        with suppress(Ends):
            while True:
                match await messages.hear_worker(reader):
                    case Run() as run:
                        running = asyncio.create_task(self._run(run))
                    case message:
                        self._hear(message)
        # The worker is gone or wants this child to end. What still runs counts no more.
        if running is not None and not running.done():
            os._exit(1)
        for hook in self._registry.stop_hooks:
            with suppress(Exception):  # user code, in a process that is ending
                await asyncio.wait_for(asyncio.wrap_future(self._handlers.run(_call(hook))[0]), 2)
        # Not a return: threads of user code must not hold up the end.
        os._exit(0)

    def _hear(self, message: ToChild) -> None:
        match message:
            case Stop(reason=reason) if self._attempt is not None:
                self._attempt.stop(StopReason(reason))
            case LeaseValid(until=until):
                self._lease_valid_until = until
            case CheckpointSaved(saved=saved) if self._saved is not None and not self._saved.done():
                self._saved.set_result(saved)
            case _:
                pass  # about an attempt that has just ended

    async def _run(self, run: Run) -> None:
        self._threads_at_rest = self._threads_at_rest or threading.active_count()
        _limit(run)
        self._lease_valid_until = run.lease_valid_until
        home = Home(AnchoredClock(), self._artifacts, lambda: self._lease_valid_until, self._save_checkpoint)
        attempt = Attempt(run.job, WorkerId(""), home, home.clock.rising())
        self._attempt = attempt
        telling = asyncio.create_task(self._tell_progress(attempt))
        outcome = await self._executor.run(attempt)
        self._attempt = None
        telling.cancel()
        if (progress := attempt.take_new_progress()) is not None:
            self._say(messages.Progress(progress))
        if has_spans():
            # Now: whoever holds the other end kills this process without a word when it needs it no longer.
            await asyncio.to_thread(flush, FLUSH_SECONDS)
        self._say(messages.ended(outcome, is_fit=self._is_fit(run.memory_mb)))

    async def _tell_progress(self, attempt: Attempt) -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            if (progress := attempt.take_new_progress()) is not None:
                self._say(messages.Progress(progress))

    async def _save_checkpoint(self, attempt: Attempt, checkpoint: bytes) -> None:
        async with self._saving:
            self._saved = asyncio.get_running_loop().create_future()
            self._say(messages.Checkpoint(checkpoint))
            if not await self._saved:
                raise LeaseLost("this attempt is past: another one counts now")

    def _is_fit(self, memory_mb: int) -> bool:
        """Whether the handler left this process as it found it, as far as that can be seen from here."""
        has_children = bool(_child_processes())
        has_threads = threading.active_count() > self._threads_at_rest + 1
        return not has_children and not has_threads and _open_files() < 256 and _resident_mb() < memory_mb / 2

    def _say(self, message: ToWorker) -> None:
        self._writer.write(messages.frame(message))

    def _say_from_any_thread(self, loop: asyncio.AbstractEventLoop) -> logging.Handler:
        return _LineHandler(loop, self._say)


class _LineHandler(logging.Handler):
    """Log lines of user code go to the worker, which knows the job they belong to."""

    def __init__(self, loop: asyncio.AbstractEventLoop, say: object) -> None:
        super().__init__()
        self._loop = loop
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        message = Logged(record.levelno, self.format(record)[:MAX_LOGGED_CHARACTERS])
        with suppress(RuntimeError):  # the loop is closed: the process is ending
            self._loop.call_soon_threadsafe(self._say, message)  # type: ignore[arg-type]


def _log_to(handler: logging.Handler) -> None:
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


async def _call(hook: object) -> None:
    await hook()  # type: ignore[operator]


def _limit(run: Run) -> None:
    """Set the limits of this attempt. RLIMIT_CPU counts the process's whole life, so what was spent is added."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = used.ru_utime + used.ru_stime
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    allowed = hard if run.cpu_seconds is None else int(spent + run.cpu_seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (allowed, hard))
    if sys.platform.startswith("linux"):
        # Not RLIMIT_AS: libraries reserve address space by the gigabyte and never touch it. Data counts private
        # memory that can be written (setrlimit(2)).
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (run.memory_mb * 1024 * 1024, hard))


def _child_processes() -> list[str]:
    found: list[str] = []
    for tasks in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found += tasks.read_text().split()
    return found


def _open_files() -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            return len(os.listdir(folder))
    return 0


def _resident_mb() -> float:
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / (1024 * 1024)
    return 0.0
