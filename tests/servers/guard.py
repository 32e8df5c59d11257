"""Sees to it that no server and no folder outlives the test run, however the run ends.

A process of its own that holds the reading end of a pipe. When the run is gone, even by ``kill -9``, the pipe ends, and
what was named on it is ended and removed. Not ``PR_SET_PDEATHSIG``: it is Linux only, tied to the thread that started
the server, and lost when a server started by root becomes ``nobody``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

_PATIENCE_SECONDS = 5.0
"""For servers to end by themselves before they are killed."""


class Guard:
    """The run's side of it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal ends the run, not its guard
        )

    def watch(self, pid: int, by: signal.Signals) -> None:
        """End this process with the run, asking it by this signal."""
        self._tell(f"watch {pid} {by.value}")

    def forget(self, pid: int) -> None:
        """It has ended."""
        self._tell(f"forget {pid}")

    def remove(self, folder: Path) -> None:
        """Remove this folder with the run, after the processes have ended."""
        self._tell(f"remove {folder}")

    def close(self) -> None:
        """What else happens when the run dies, now."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()


# -------------------------------------------------------------------------------------- seen from inside


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def runs(pid: int) -> bool:
    """Whether there is such a process. One that has ended and waits to be reaped by whoever adopted it is none."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    with contextlib.suppress(OSError):
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def _end(watched: dict[int, int]) -> None:
    for pid, by in watched.items():
        _signal(pid, by)
        _signal(pid, signal.SIGCONT)  # a test may have paused it
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < give_up_at and any(map(runs, watched)):
        time.sleep(0.02)  # noqa: TID251  (not a test, and imports nothing of them)
    for pid in watched:
        _signal(pid, signal.SIGKILL)


def main() -> None:
    """Listen until the run is gone, then end and remove all that it named."""
    watched: dict[int, int] = {}
    folders: list[str] = []
    for line in sys.stdin:
        verb, what, *by = line.split()
        match verb:
            case "watch":
                watched[int(what)] = int(by[0])
            case "forget":
                watched.pop(int(what), None)
            case "remove":
                folders.append(what)
    _end(watched)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
