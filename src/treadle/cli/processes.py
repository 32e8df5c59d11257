"""Treadle processes that a command starts for itself, on free ports; they end with it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from treadle.errors import TreadleError

START_SECONDS = 30.0
STOP_SECONDS = 30.0
_ANSWER_SECONDS = 5.0
_LOOK_SECONDS = 0.1
_MAX_SPOKEN_BYTES = 2000


class NotUp(TreadleError):
    """A process that was started has ended, or does not answer."""

    code = "cli.not_up"


@contextmanager
def started(
    room: str, environment: Mapping[str, str], *, folder: Path | None = None, log: IO[bytes] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """``treadle ROOM``, told to stop on leaving and waited for.

    ``folder``: where it works; ``None`` is this one. ``log``: takes what it says; a process with a log hears no
    Ctrl-C of the terminal either: its end is the command's to say.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "treadle", room],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=log is not None,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_up(process: subprocess.Popen[bytes], url: str) -> None:
    """Return when the API at ``url`` answers that it can do its work. Raises ``NotUp``."""
    give_up_at = time.monotonic() + START_SECONDS
    while process.poll() is None:
        if _is_up(url):
            return
        if time.monotonic() > give_up_at:
            raise NotUp(f"the API that was started does not answer within {START_SECONDS:g} seconds")
        time.sleep(_LOOK_SECONDS)
    raise NotUp(f"the API that was started ended at once, with exit code {process.returncode}")


def last_words(log: IO[bytes]) -> str:
    """The end of what a process has said."""
    end = log.seek(0, 2)
    log.seek(max(0, end - _MAX_SPOKEN_BYTES))
    lines = log.read().decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def free_ports(count: int) -> list[int]:
    """Ports of the loopback device that nobody listened on a moment ago, all different."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _is_up(url: str) -> bool:
    """``degraded`` is up: hints can be away, and all works."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=_ANSWER_SECONDS) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:  # urllib's own among them
        return False
