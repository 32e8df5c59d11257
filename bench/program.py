"""Processes that a run starts: JSON lines from their stdout, their logs kept, ended by their ids."""

from __future__ import annotations

import atexit
import functools
import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.servers.guard import Guard

_GRACE_SECONDS = 15.0


class ProgramFailed(Exception):
    """A program ended with an error, said nothing of use, or took too long."""


@functools.cache
def _guard() -> Guard:
    """Ends with this process, however that ends, and what runs then ends with it."""
    guard = Guard()
    atexit.register(guard.close)
    return guard


class Running:
    """A process in a group of its own."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        self._name = " ".join(Path(part).name for part in command[:4])
        self._left = b""
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
                start_new_session=True, cwd=log.parent,
            )  # fmt: skip
        _guard().watch(self.pid, signal.SIGTERM)

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self, within_seconds: float) -> dict[str, Any]:
        """The next JSON object that it prints; other lines are passed over. Raises ``ProgramFailed``."""
        assert self.process.stdout is not None  # noqa: S101  (for the type; it is a pipe)
        give_up_at = time.monotonic() + within_seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while True:
                line, newline, rest = self._left.partition(b"\n")
                if newline:
                    self._left = rest
                    with suppress(ValueError):
                        found = json.loads(line)
                        if isinstance(found, dict):
                            return found
                    continue
                if not selector.select(max(0.0, give_up_at - time.monotonic())):
                    raise ProgramFailed(f"{self._name}: no answer within {within_seconds:g} s. {self.said()}")
                piece = os.read(self.process.stdout.fileno(), 65536)
                if not piece:
                    code = self.process.wait()
                    raise ProgramFailed(f"{self._name} ended with {code} and no answer. {self.said()}")
                self._left += piece

    def check(self) -> None:
        """Raises ``ProgramFailed`` where it has ended."""
        if self.process.poll() is not None:
            raise ProgramFailed(f"{self._name} ended with {self.process.returncode}. {self.said()}")

    def said(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-2000:].strip()

    def end(self) -> None:
        """Ask it to end (SIGTERM), and after its grace kill what is left of its group."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_GRACE_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        _guard().forget(self.pid)
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[Running]:
    """One that ends with the block."""
    program = Running(command, environment, log)
    try:
        yield program
    finally:
        program.end()


def answer(
    command: Sequence[str], environment: Mapping[str, str], log: Path, *, within_seconds: float
) -> dict[str, Any]:
    """The one JSON object that a program prints. Raises ``ProgramFailed``."""
    with running(command, environment, log) as program:
        said = program.line(within_seconds)
        with suppress(subprocess.TimeoutExpired):
            program.process.wait(_GRACE_SECONDS)
        return said
