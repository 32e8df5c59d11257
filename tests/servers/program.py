"""One server's process: started until it answers, paused, killed, started again on the same port."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.servers.place import Place
from tests.waiting import eventually_blocking

_READY_SECONDS = 30


class MissingServer(AssertionError):
    """The machine lacks a server that the tests need. They fail with this; nothing is skipped."""


class Program:
    """Knows how to start one server, and has its process while it runs."""

    def __init__(
        self,
        place: Place,
        folder: Path,
        command: Sequence[str],
        *,
        end_by: signal.Signals = signal.SIGTERM,
        user: dict[str, Any] | None = None,
    ) -> None:
        self._place = place
        self._command = command
        self._end_by = end_by
        self._user = user or {}
        self._process: subprocess.Popen[bytes] | None = None
        self.folder = folder
        self.log = folder / "server.log"

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self, answers: Callable[[], bool]) -> None:
        """Start it and return once it answers. It is tried again where it ends at once: what is left of its killed
        predecessor may still hold the port or the files. Raises ``AssertionError`` with its log.
        """

        def is_ready() -> bool:
            if not self.runs:
                self._forget()
                self._launch()
            return answers()

        try:
            eventually_blocking(is_ready, within_seconds=_READY_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{self._command[0]} did not start: {self.said()}") from error

    def end(self, by: signal.Signals | None = None) -> None:
        """Ask it to end, and wait until it has; nothing where it does not run."""
        if self._process is None:
            return
        self._process.send_signal(self._end_by if by is None else by)
        self._process.send_signal(signal.SIGCONT)
        self._process.wait(timeout=30)
        self._forget()

    def kill(self) -> None:
        """End it without a word (SIGKILL), and wait until it has."""
        self.end(signal.SIGKILL)

    def pause(self) -> None:
        """Let it hang: connections stand, nothing is answered (SIGSTOP)."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after ``pause``."""
        os.kill(self.pid, signal.SIGCONT)

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    def _launch(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for the run, which then ends its servers in order
                **self._user,
            )
        self._place.guard.watch(self._process.pid, self._end_by)

    def _forget(self) -> None:
        if self._process is not None:
            self._place.guard.forget(self._process.pid)
            self._process = None
