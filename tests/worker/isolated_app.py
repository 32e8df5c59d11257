"""Handlers for child processes: what user code does to the process it runs in. Loaded by name, in the child too."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from treadle import Isolation, Job, NonRetryable, Park, Retry, Snooze, Treadle

Handler = TypeVar("Handler", bound=Callable[..., Any])

app = Treadle()
NEVER = threading.Event()
started: list[int] = []


@app.on_start
async def note_start() -> None:
    started.append(os.getpid())


def isolated(name: str, **policy: Any) -> Callable[[Handler], Handler]:
    return app.job(name, isolate=True, retry=Retry(base_seconds=0, cap_seconds=0), **policy)


@isolated("PID")
async def pid(payload: dict[str, Any]) -> dict[str, Any]:
    return {"pid": os.getpid(), "hooks": len(started), "group": os.getpgrp()}


@isolated("PID_BLOCKING")
def pid_blocking(payload: dict[str, Any]) -> dict[str, Any]:
    return {"pid": os.getpid()}


@isolated("DO")
def do(payload: dict[str, Any], job: Job) -> Any:  # noqa: C901  (a list of ways, not a decision)
    """One way to treat a process badly, by name."""
    match payload["what"]:
        case "segfault":
            ctypes.string_at(0)
        case "exit":
            os._exit(payload["code"])
        case "sys_exit":
            sys.exit(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "print":
            for _ in range(payload["megabytes"]):
                print("x" * 1_000_000)
            return "said"
        case "memory":
            return len(bytearray(payload["megabytes"] * 1024 * 1024))
        case "chdir":
            os.chdir("/")
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        case "raise":
            raise ValueError("no")
        case "never again":
            raise NonRetryable("no")
        case "park":
            raise Park("look at it")
        case "snooze":
            raise Snooze(60)
        case "object":
            return object()
        case "log":
            job.log.warning("a word\nfrom %s", "a child")
    return None


@isolated("HANG", timeout=0.5)
def hang(payload: dict[str, Any]) -> None:
    Path(payload["file"]).write_text(str(os.getpid()))
    NEVER.wait()


@isolated("DEAF", timeout=0.5)
async def deaf(payload: dict[str, Any]) -> None:
    Path(payload["file"]).write_text(str(os.getpid()))
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


@isolated("SLEEP")
async def sleep(payload: dict[str, Any], job: Job) -> str:
    Path(payload["file"]).write_text(str(os.getpid()))
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    return "woken"


@app.job("SPIN", isolate=Isolation(cpu_seconds=0.2), retry=Retry(attempts=1))
def spin(payload: dict[str, Any]) -> None:
    while True:
        pass


@app.job("SMALL", isolate=Isolation(memory_mb=256), retry=Retry(attempts=1))
def small(payload: dict[str, Any]) -> int:
    return len(bytearray(payload["megabytes"] * 1024 * 1024))


@isolated("LEAK")
def leak(payload: dict[str, Any]) -> dict[str, int]:
    match payload["what"]:
        case "process":
            process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
            return {"pid": os.getpid(), "left": process.pid}
        case "group":
            process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            return {"pid": os.getpid(), "left": process.pid}
        case "files":
            kept.extend(os.open("/dev/null", os.O_RDONLY) for _ in range(300))
        case "threads":
            for _ in range(2):
                threading.Thread(target=NEVER.wait, daemon=True).start()
    return {"pid": os.getpid()}


kept: list[int] = []


@isolated("TALK")
async def talk(payload: dict[str, Any], job: Job) -> dict[str, Any]:
    job.progress(1, 2, "half")
    found = job.last_checkpoint
    await job.checkpoint({"attempt": job.attempt})
    with job.artifact("hello.txt", "text/plain") as file:
        file.write(b"hello")
    if job.attempt == 1:
        raise ValueError("once")
    job.progress(2, 2, "whole")
    return {"found": found, "valid": job.lease_valid(), "key": job.idempotency_key}


@app.job("ROUGH", retry=Retry(base_seconds=0, cap_seconds=0))
async def rough(payload: dict[str, Any], job: Job) -> dict[str, int]:
    """Not isolated by its type."""
    return {"pid": os.getpid()}
