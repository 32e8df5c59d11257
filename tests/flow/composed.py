"""compose.yaml's own services as processes: what its containers are told, with their names mapped to loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import treadle
from tests.compose.resolved import OWN, environment_of, resolve
from tests.servers.ports import free_ports
from tests.servers.rungs import RUNGS
from tests.waiting import eventually_blocking

SOURCE = str(Path(treadle.__file__).parents[1])
"""Of the code that the tests import: no other is to be run, whatever else is installed."""

RUNG = "sqlite"
"""What stands for compose's ``db`` and ``redis``. THE ONE PLACE TO SWITCH: "postgres+redis" as soon as both are in;
until then the processes share an SQLite file.
"""


class Composed:
    """The services that run Treadle, started in compose's order and each waited for with its own health check."""

    def __init__(self, folder: Path, servers: Mapping[str, str], dotenv: str) -> None:
        self.folder = folder
        self.output = folder / "output"
        self.output.mkdir()
        self._services: dict[str, Any] = resolve(folder, dotenv=dotenv)["services"]
        (folder / ".env").unlink(missing_ok=True)  # a container has none: only what compose hands it
        self._servers = servers
        api, smtp, page = free_ports(3)
        self.url = f"http://127.0.0.1:{api}"
        self.mail_url = f"http://127.0.0.1:{page}"
        self._ports = {
            "API_PORT": str(api),
            "MAIL_PORT": str(smtp),
            "TREADLE_MAILBOX_SMTP_PORT": str(smtp),
            "TREADLE_MAILBOX_PORT": str(page),
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start them all."""
        needs = {name: set(self._services[name].get("depends_on", {})) & set(OWN) for name in OWN}
        for name in TopologicalSorter(needs).static_order():
            with (self.folder / f"{name}.log").open("wb") as log:
                self.processes[name] = subprocess.Popen(
                    self._command(name, self._services[name]["command"]),
                    cwd=self.folder,
                    env=self.environment(name),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            eventually_blocking(lambda name=name: self.is_healthy(name), within_seconds=60)  # type: ignore[misc]

    def is_healthy(self, name: str) -> bool:
        """What its health check says. Fails where the process has ended."""
        assert self.processes[name].poll() is None, self.logs()
        kind, program, *arguments = self._services[name]["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "treadle")
        done = subprocess.run(
            self._command(name, arguments),
            cwd=self.folder,
            env=self.environment(name),
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    def environment(self, name: str) -> dict[str, str]:
        """What compose tells the container, as a process here must hear it."""
        told = environment_of(self._services[name])
        return {
            "PATH": os.environ["PATH"],  # noqa: TID251  (a clean one)
            "HOME": str(self.folder),
            "PYTHONPATH": SOURCE,
            **{setting: self._here(value) for setting, value in told.items() if setting not in STORES},
            **(self._servers if STORES & set(told) else {}),
            **self._ports,
        }

    def stop(self) -> dict[str, int]:
        """End them as compose does, in the opposite order; their exit codes."""
        codes: dict[str, int] = {}
        for name, process in reversed(self.processes.items()):
            process.send_signal(signal.SIGTERM)
            codes[name] = process.wait(timeout=60)
        return codes

    def close(self) -> None:
        """End what still runs."""
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait(timeout=30)

    def logs(self) -> str:
        """What every process said."""
        return "\n".join(f"--- {log.name}\n{log.read_text()}" for log in sorted(self.folder.glob("*.log")))

    def _command(self, name: str, arguments: list[str]) -> list[str]:
        assert self._services[name].get("entrypoint") is None  # the image's: treadle
        return [sys.executable, "-m", "treadle", *arguments]

    def _here(self, value: str) -> str:
        if value in NAMES:
            return "127.0.0.1"
        return value.replace("/usr/src/app", str(self.folder))


NAMES = {"0.0.0.0", "mailhog"}
STORES = {"DATABASE_URL", "REDIS_URL"}


@contextmanager
def composed(folder: Path, *, dotenv: str = "") -> Iterator[Composed]:
    """A stack that runs, with this ``.env``."""
    with RUNGS[RUNG]() as servers:
        stack = Composed(folder, servers, dotenv)
        try:
            stack.start()
            yield stack
        finally:
            stack.close()
