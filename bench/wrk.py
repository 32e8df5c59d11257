"""One-by-one submission over HTTP by ``wrk``: many connections, each waiting for its answer before the next request."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

SCRIPT = Path(__file__).with_name("wrk.lua")


class NoWrk(Exception):
    """The machine has no ``wrk``."""


class Load(NamedTuple):
    """What came back in all."""

    created: int
    """Answers of 201."""
    others: int
    """Answers of anything else."""
    broken: int
    """Connections that broke, and requests without an answer in time."""
    seconds: float
    p50_ms: float
    p99_ms: float


def need_wrk() -> str:
    """Its path; installed where that can be done without asking anybody. Raises ``NoWrk``, which says how."""
    found = shutil.which("wrk")
    if found is None and os.geteuid() == 0 and (apt := shutil.which("apt-get")):
        for command in (["update"], ["install", "--yes", "--no-install-recommends", "wrk"]):
            subprocess.run([apt, "-q", *command], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        found = shutil.which("wrk")
    if found is None:
        raise NoWrk(
            "One-by-one submission is measured with wrk, and it is not there. Install your distribution's package for"
            " it (Debian and Ubuntu: sudo apt-get install wrk; macOS: brew install wrk), or leave it out with --only."
        )
    return found


def load(port: int, connections: int, seconds: float) -> Load:
    """Keep so many connections busy for so long. Raises ``RuntimeError`` where wrk does not run."""
    done = subprocess.run(
        [need_wrk(), "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", str(SCRIPT), f"http://127.0.0.1:{port}/jobs"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"wrk ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}")
    return Load(**json.loads(done.stdout.rpartition("RESULT ")[2]))
