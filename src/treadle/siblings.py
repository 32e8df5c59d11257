"""Several processes that serve one port: a parent that starts them, starts anew what dies, and stops them all.

The parent forks and waits and does nothing else: it has no loop, no thread and no room's libraries, so that what a
child makes for itself alone (random state, connections, counters of ids) is made after the fork. Linux only.
"""

from __future__ import annotations

import ctypes
import logging
import mmap
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from treadle.collector import spare_what_stays
from treadle.errors import SettingsError
from treadle.telemetry.shared import Shelf

logger = logging.getLogger("treadle.siblings")

FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""Who has lived so long did not die of what was wrong at its start: its pause begins small again."""
LOOK_SECONDS = 0.05
"""Between looks at whether a child is up, while one starts."""
BROKEN_EXIT = 70
"""EX_SOFTWARE: a child was killed where it should have ended by itself."""

_STOP = frozenset({signal.SIGTERM, signal.SIGINT})
_HEARD = _STOP | {signal.SIGCHLD}
_PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(slots=True)
class Place:
    """What one child after another fills. Times are of the monotonic clock."""

    number: int
    shelf: Shelf
    """of figures, with a place of the same number"""
    _up: mmap.mmap
    pid: int | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    pause_seconds: float = FIRST_PAUSE_SECONDS

    @property
    def is_up(self) -> bool:
        """Whether the last child in it has said that it serves."""
        return bool(self._up[self.number])

    def say_up(self) -> None:
        """In the child."""
        self._up[self.number] = 1

    def clear(self) -> None:
        """Before another child begins."""
        self._up[self.number] = 0


class Siblings:
    """``count`` processes that run ``live``, each in its place, which it tells once it serves."""

    def __init__(self, count: int, live: Callable[[Place], int], all_up: Callable[[], None]) -> None:
        """``all_up`` is called in the parent, once. Raises ``SettingsError`` where the system cannot do this."""
        if not sys.platform.startswith("linux"):
            raise SettingsError([f"TREADLE_API_PROCESSES={count}: more than one needs Linux, which deals connections"])
        shelf, up = Shelf(count), mmap.mmap(-1, count)  # memory that the children share
        self._places = [Place(number, shelf, up) for number in range(count)]
        self._live = live
        self._all_up = all_up
        self._were_all_up = False
        self._is_stopping = False
        self._code = 0

    def run(self) -> int:
        """In the parent: the exit code, once all are stopped. In each child: what ``live`` returns or raises.

        A child that fails before all were up ends the rest, and its code is the whole's: it has said why. Later ones
        are started again, at growing intervals.
        """
        spare_what_stays()  # before the forks: what the collector does not touch stays shared
        parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        while not self._is_stopping or self._living:
            for place in self._due():
                if self._fork(place):
                    self._begin_life(parent)
                    return self._live(place)
            heard = signal.sigtimedwait(_HEARD, self._wait_seconds())
            if heard is not None and heard.si_signo in _STOP:
                self._stop()
            self._bury()
            self._look_up()
        return self._code

    @property
    def _living(self) -> list[Place]:
        return [place for place in self._places if place.pid is not None]

    def _due(self) -> Iterator[Place]:
        """At first one after another: what is wrong with settings or database is found by the first, and said once."""
        if self._is_stopping:
            return
        now = time.monotonic()
        for place in self._places:
            if place.pid is None and place.start_at <= now:
                yield place
            if not self._were_all_up and not place.is_up:
                return

    def _fork(self, place: Place) -> bool:
        """Whether this is the child."""
        place.clear()
        sys.stdout.flush()
        sys.stderr.flush()
        place.started_at = time.monotonic()
        try:
            place.pid = os.fork()
        except OSError as error:  # no memory, or too many processes
            if not self._were_all_up:
                raise
            self._put_off(place, f"could not be started ({error.strerror})")
        return place.pid == 0

    def _begin_life(self, parent: int) -> None:
        """In a new child. The parent's death is its own, as that of a single process would be."""
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before
            os._exit(BROKEN_EXIT)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)

    def _wait_seconds(self) -> float:
        if any(not place.is_up for place in self._living):
            return LOOK_SECONDS
        waiting = [place.start_at for place in self._places if place.pid is None]
        return max(0.0, min(waiting) - time.monotonic()) if waiting and not self._is_stopping else MAX_PAUSE_SECONDS

    def _look_up(self) -> None:
        if not self._were_all_up and not self._is_stopping and all(place.is_up for place in self._places):
            self._were_all_up = True
            self._all_up()

    def _bury(self) -> None:
        """Take note of every child that has ended."""
        for place in self._living:
            pid, status = os.waitpid(place.pid or 0, os.WNOHANG)
            if pid:
                place.pid = None
                self._ended(place, os.waitstatus_to_exitcode(status))

    def _ended(self, place: Place, code: int) -> None:
        if self._is_stopping:
            # Stopped while it was starting, it had no ear for the signal yet: nothing was cut.
            if code != -signal.SIGTERM or place.is_up:
                self._code = self._code or _exit_code(code)
        elif not self._were_all_up:
            if code <= 0:
                logger.error("a process of the API %s while it was starting", _death(code))
            self._code = _exit_code(code) or BROKEN_EXIT
            self._stop()
        else:
            self._put_off(place, _death(code))

    def _put_off(self, place: Place, why: str) -> None:
        now = time.monotonic()
        if now - place.started_at >= STEADY_SECONDS:
            place.pause_seconds = FIRST_PAUSE_SECONDS
        place.start_at = now + place.pause_seconds
        logger.error("a process of the API %s; another is started in %g s", why, place.pause_seconds)
        place.pause_seconds = min(2 * place.pause_seconds, MAX_PAUSE_SECONDS)

    def _stop(self) -> None:
        if self._is_stopping:
            logger.warning("stopped at once, on the second signal")
            self._tell(signal.SIGKILL)  # a container's first process outlives what it sends itself
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
            signal.raise_signal(signal.SIGTERM)
        self._is_stopping = True
        self._tell(signal.SIGTERM)

    def _tell(self, number: signal.Signals) -> None:
        for place in self._living:
            os.kill(place.pid or 0, number)  # not reaped yet, so that it is nobody else's


def _exit_code(code: int) -> int:
    return BROKEN_EXIT if code < 0 else code


def _death(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
