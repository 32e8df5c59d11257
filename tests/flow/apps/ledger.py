"""Job types whose handlers write every start and end to a file of their own, beside the system under test."""

import ctypes
import os
import signal
import time
from pathlib import Path

import msgspec

from treadle import Job, Retry, Treadle

app = Treadle()
LEDGER = Path("ledger.txt")


class Work(msgspec.Struct, rename="camel"):
    """What a ledger job is told."""

    seconds: float = 0.0
    first_seconds: float | None = None
    """Of the first attempt, where it is to be another."""
    kill_on_attempt: int = 0


def write(job: Job, phase: str) -> None:
    """One line, appended in one system call."""
    line = f"{job.id} {job.attempt} {phase} {os.getpid()}\n".encode()
    handle = os.open(LEDGER, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(handle, line)
    os.close(handle)


@app.job("LEDGER", retry=Retry(attempts=3, crashes=5))
def ledger(payload: Work, job: Job) -> dict[str, int]:
    """Say that it started, work, say that it ended; kill its own process in between if it was told to."""
    write(job, "start")
    if payload.kill_on_attempt == job.attempt:
        os.kill(os.getpid(), signal.SIGKILL)
    seconds = payload.seconds
    if job.attempt == 1 and payload.first_seconds is not None:
        seconds = payload.first_seconds
    time.sleep(seconds)  # noqa: TID251  (work that takes time is what this stands for)
    write(job, "done")
    return {"attempt": job.attempt}


@app.job("POISON", retry=Retry(attempts=3, crashes=3))
def poison(payload: Work, job: Job) -> None:
    """Kill the process that runs it, every time."""
    write(job, "start")
    os.kill(os.getpid(), signal.SIGKILL)


@app.job("SEGFAULT", isolate=True, retry=Retry(crashes=3, base_seconds=0.1))
def segfault(payload: Work, job: Job) -> None:
    """End the process that runs it as a broken C extension would."""
    write(job, "start")
    ctypes.string_at(0)


@app.job("ROUGH_SEGFAULT", retry=Retry(crashes=3, base_seconds=0.1))
def rough_segfault(payload: Work, job: Job) -> None:
    """The same, by somebody who did not see it coming."""
    write(job, "start")
    ctypes.string_at(0)


@app.job("FAILING", retry=Retry(attempts=1))
def failing(payload: Work, job: Job) -> None:
    """Fail."""
    raise ValueError("as ordered")


@app.job("STEPS")
def steps(payload: Work, job: Job) -> None:
    """Tell how far it is, in ten steps."""
    for done in range(10):
        job.progress(done + 1, 10, f"step {done + 1}")
        time.sleep(payload.seconds / 10)  # noqa: TID251  (work that takes time is what this stands for)
