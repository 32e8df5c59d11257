"""Pulse: a small file that tells other programs on this machine until when a worker is alive.

A worker answers no requests, and a process that runs is not yet a worker that works: only its beats tell. The file is
locked as long as its worker lives, so one that a killed worker left behind, or whose process id is somebody else's by
now, is taken for nobody.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import platform
import secrets
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger("treadle.worker")

_SUFFIX = ".pulse"
END_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Sign:
    """What a living worker's file says. ``valid_until``: rising seconds (``clock.rising_seconds``)."""

    host: str
    pid: int
    valid_until: float


@asynccontextmanager
async def kept_pulse(folder: Path, valid_until: Callable[[], float], every_seconds: float) -> AsyncIterator[None]:
    """Keep this process's sign in ``folder``, which must be local: locks and clocks do not travel.

    ``valid_until``: asked each time for the rising seconds until which the worker is alive. A folder that cannot be
    written is said in the log and harms no job.
    """
    pulse = _Pulse(folder, valid_until)
    keeping = asyncio.create_task(pulse.keep(every_seconds))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        pulse.end()


class _Pulse:
    def __init__(self, folder: Path, valid_until: Callable[[], float]) -> None:
        self._folder = folder
        self._valid_until = valid_until
        self._path = folder / f"worker.{secrets.token_hex(8)}{_SUFFIX}"
        self._file: int | None = None
        self._lock = threading.Lock()
        self._has_ended = False

    async def keep(self, every_seconds: float) -> None:
        """Write until cancelled, in a thread: a disk that hangs stops the sign and not the worker."""
        told = False
        while True:
            try:
                await asyncio.to_thread(self._write)
                told = False
            except OSError as error:
                if not told:
                    logger.warning("cannot write %s (%s): treadle health worker will fail", self._path, error.strerror)
                told = True
            await asyncio.sleep(every_seconds)

    def end(self) -> None:
        """Take the file away."""
        # A cancelled write goes on in its thread; one that hangs keeps nobody from stopping.
        if not self._lock.acquire(timeout=END_SECONDS):
            return
        self._has_ended = True
        if self._file is not None:
            with suppress(OSError):
                self._path.unlink()
            os.close(self._file)
        self._lock.release()

    def _write(self) -> None:
        with self._lock:
            if self._has_ended:
                return
            if self._file is None:
                self._file = self._begin()
            # In place, and always as long: nobody ever reads half a sign.
            sign = f"{platform.node()}\n{os.getpid()}\n{self._valid_until():020.3f}\n"
            os.pwrite(self._file, sign.encode(), 0)

    def _begin(self) -> int:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_left_behind(self._folder)
        # Renamed once it is locked: before that it would be taken for one left behind.
        temporary = self._path.with_suffix(".tmp")
        file = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.rename(temporary, self._path)
        except OSError:  # no locks on this file system, say: the next try must find the place free
            os.close(file)
            temporary.unlink(missing_ok=True)
            raise
        return file


def living_here(folder: Path) -> list[Sign]:
    """The signs of the workers that live on this host, in no order. Files that cannot be read are nobody's."""
    signs: list[Sign] = []
    for path in folder.glob(f"worker.*{_SUFFIX}"):
        with suppress(OSError, ValueError):
            if _is_held(path):
                host, pid, valid_until = path.read_text("utf-8").splitlines()
                signs.append(Sign(host, int(pid), float(valid_until)))
    return [sign for sign in signs if sign.host == platform.node()]


def _remove_left_behind(folder: Path) -> None:
    for path in folder.glob(f"worker.*{_SUFFIX}"):
        with suppress(OSError):
            if not _is_held(path):
                path.unlink()


def _is_held(path: Path) -> bool:
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
