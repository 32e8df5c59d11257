"""A real Treadle for a test: real processes on free loopback ports, in a folder of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg

import treadle
from tests.servers import running
from tests.servers.ports import free_ports as free_ports
from tests.waiting import eventually_blocking
from treadle.assemble import inspect_store
from treadle.service.check import check
from treadle.settings import parse_settings

FAST = {
    "TREADLE_LEASE_SECONDS": "2",
    "TREADLE_HEARTBEAT_SECONDS": "0.4",
    "TREADLE_SWEEP_SECONDS": "0.4",
    "TREADLE_RECONCILE_SECONDS": "1",
    "TREADLE_POLL_SECONDS": "0.2",
    "TREADLE_RETRY_BASE_SECONDS": "0.2",
    "TREADLE_GRACE_SECONDS": "3",
    "TREADLE_LOG_FORMAT": "json",
}
APPS = Path(__file__).parent / "apps"
SOURCE = str(Path(treadle.__file__).parents[1])
"""Of the Treadle that this run has imported: the processes it starts shall be of no other."""


def children(pid: int) -> list[int]:
    """The child processes of ``pid``; none where there is no /proc."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


class Stack:
    """Processes that share one database; every one is ended by ``close``."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        """``settings``: over those that make it quick and apart, those of its rung among them."""
        self.folder = folder
        self.api_port, self.smtp_port, self.page_port = free_ports(3)
        self.url = f"http://127.0.0.1:{self.api_port}"
        self.mail_url = f"http://127.0.0.1:{self.page_port}"
        self.output = folder / "output"
        self.settings = {
            **FAST,
            "API_PORT": str(self.api_port),
            "MAIL_HOST": "127.0.0.1",
            "MAIL_PORT": str(self.smtp_port),
            "TREADLE_MAILBOX_SMTP_PORT": str(self.smtp_port),
            "TREADLE_MAILBOX_PORT": str(self.page_port),
            "TREADLE_APP": "ledger:app",
            "PYTHONPATH": f"{APPS}{os.pathsep}{SOURCE}",
            **(settings or {}),
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        self._guard = running.place().guard
        self.client = self.new_client()

    def start(
        self, command: str, *, settings: Mapping[str, str] | None = None, prefix: Sequence[str] = (),
        arguments: Sequence[str] = (),
    ) -> subprocess.Popen[bytes]:  # fmt: skip
        """Start ``treadle COMMAND ARGUMENTS``; its log goes to a file of the folder."""
        with (self.folder / f"{len(self.processes)}-{command}.log").open("wb") as log:
            process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "treadle", command, *arguments],
                cwd=self.folder,
                env=self.environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        self._guard.watch(process.pid, signal.SIGKILL)
        if command in {"dev", "api"}:
            eventually_blocking(lambda: self._answers(process), within_seconds=60)
        if command == "mailbox":
            eventually_blocking(lambda: self._mailbox_answers(process), within_seconds=60)
        return process

    def environment(self, settings: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a process of this stack is told; a setting without a value is one that is not there."""
        told = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}  # noqa: TID251  (a clean one)
        return told | {name: value for name, value in {**self.settings, **(settings or {})}.items() if value}

    def new_client(self) -> httpx.Client:
        """A client of its own connections."""
        return httpx.Client(base_url=self.url, timeout=60)

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, self.logs()
        try:
            return self.client.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def _mailbox_answers(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, self.logs()
        try:
            return self.client.get(f"{self.mail_url}/live").status_code == 200
        except httpx.TransportError:
            return False

    def submit(self, type_name: str, payload: Any, **members: Any) -> str:
        """A job's id."""
        answer = self.client.post("/jobs", json={"type": type_name, "payload": payload, **members})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["jobId"])

    def job(self, job_id: str) -> dict[str, Any]:
        """The job as it stands."""
        answer = self.client.get(f"/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def finish(self, job_id: str, *, within_seconds: float = 60) -> dict[str, Any]:
        """The job once it is final."""
        found: dict[str, Any] = {}

        def is_final() -> bool:
            found.update(self.client.get(f"/jobs/{job_id}", params={"wait": "5"}).json())
            return found["status"] in {"completed", "failed", "dead", "cancelled"}

        eventually_blocking(is_final, within_seconds=within_seconds)
        return found

    @property
    def database(self) -> Path:
        """The SQLite file, on the rung that has one."""
        return self.folder / "data" / "treadle.db"

    @property
    def where(self) -> dict[str, str]:
        """The settings that lead a command in another folder to this stack's database."""
        if (address := self.settings.get("DATABASE_URL")) is not None:
            return {"DATABASE_URL": address}
        return {"TREADLE_DATA_DIR": str(self.database.parent)}

    def change(self, sql: str) -> None:
        """Run ``sql`` on the database, beside Treadle."""
        if (address := self.settings.get("DATABASE_URL")) is not None:
            with psycopg.connect(address) as connection:
                connection.execute(sql)
            return
        file = sqlite3.connect(self.database)
        with file:
            file.execute(sql)
        file.close()

    def rows(self) -> set[str]:
        """The ids of all jobs, read beside Treadle."""
        if (address := self.settings.get("DATABASE_URL")) is not None:
            with psycopg.connect(address) as connection:
                return {str(row[0]) for row in connection.execute("SELECT id FROM jobs")}
        file = sqlite3.connect(self.database)
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found = {str(row[0]) for row in file.execute("SELECT id FROM jobs")}
        file.close()
        return found

    def starts(self) -> dict[str, list[int]]:
        """The attempts that started, by job, from the handlers' own ledger."""
        started: dict[str, list[int]] = defaultdict(list)
        ledger = self.folder / "ledger.txt"
        for line in ledger.read_text().splitlines() if ledger.exists() else ():
            job_id, attempt, phase, _ = line.split()
            if phase == "start":
                started[job_id].append(int(attempt))
        return started

    def logs(self) -> str:
        """What every process said."""
        return "\n".join(f"--- {log.name}\n{log.read_text()}" for log in sorted(self.folder.glob("*.log")))

    def log_lines(self) -> list[dict[str, Any]]:
        """All log lines that are JSON."""
        lines = [line for line in self.logs().splitlines() if line.startswith("{")]
        return [json.loads(line) for line in lines]

    def stop(self, process: subprocess.Popen[bytes], *, by: signal.Signals = signal.SIGTERM) -> int:
        """End one process and return its exit code."""
        process.send_signal(by)
        return process.wait(timeout=30)

    def close(self) -> None:
        """End every process that still runs, and see that the database they leave keeps every invariant."""
        self.client.close()
        for process in self.processes:
            if process.poll() is None:
                for child in children(process.pid):  # under strace the server is one
                    os.kill(child, signal.SIGKILL)
                process.kill()
                process.wait(timeout=30)
            self._guard.forget(process.pid)
        if self.processes and ("DATABASE_URL" in self.where or self.database.exists()):
            # In a thread: under Playwright this one has a loop that runs.
            with ThreadPoolExecutor(1) as thread:
                violations = thread.submit(asyncio.run, self._violations()).result()
            assert violations == {}, f"invariants are violated: {violations}"

    async def _violations(self) -> dict[str, list[str]]:
        told = {name: value for name, value in self.settings.items() if value}
        settings = parse_settings({**told, **self.where})
        async with inspect_store(settings) as (store, clock):
            findings = await check(store, settings, clock.now())
        return {finding.name: list(finding.subjects) for finding in findings if finding.subjects}
