"""The user's app of the fault run: a type that works in steps, and a ledger of every handler's start.

The ledger is the system's own word for nothing: each line is appended by one system call of the handler itself.
"""

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from treadle import Job, Retry, Treadle
from treadle.jobtype import JobType, Registry

app = Treadle()
LEDGER = Path("ledger.txt")
EFFECTS = Path("effects.txt")


class Steps(msgspec.Struct, rename="camel"):
    """What a job is told: how many steps, how long each, and on which attempts to fail."""

    number: int
    steps: int = 1
    seconds: float = 0.0
    fail_on: list[int] = []


class OnPurpose(Exception):
    """The failure that was ordered."""


def note(where: Path, phase: str, job: Job, done: int) -> None:
    """One line, appended in one system call: a killed process leaves it whole or not at all."""
    line = f"{phase} {job.id} {job.attempt} {done} {os.getpid()} {os.getppid()} {job.type}\n".encode()
    handle = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(handle, line)
    os.close(handle)


CRASHES = 25
"""A kill costs every job that it meets a crash, and a job is buried at the third by default: rightly, where one worker
after the other dies of it. Here they die of something else, every few seconds, and a job with a crash behind it runs
longer than before, in a process that has to start. So that ``completed`` can be asked of all, all may be met often."""


@app.job("STEPS", retry=Retry(attempts=25, crashes=CRASHES, base_seconds=1, cap_seconds=5), timeout=120)
def steps(payload: Steps, job: Job) -> dict[str, int]:
    """Go on behind the last saved step; each step takes its time, has its effect, and is saved."""
    done = (job.last_checkpoint or {"done": 0})["done"]
    note(LEDGER, "start", job, done)
    if job.attempt in payload.fail_on:
        raise OnPurpose(f"attempt {job.attempt} fails")
    while done < payload.steps:
        time.sleep(payload.seconds / payload.steps)  # noqa: TID251  (work that takes time is what this stands for)
        note(EFFECTS, "effect", job, done)
        done += 1
        if done < payload.steps:
            job.checkpoint_blocking({"done": done})
            note(LEDGER, "saved", job, done)
    with job.artifact("receipt.txt", "text/plain") as file:
        file.write(f"{payload.number} {job.attempt}\n".encode())
    return {"number": payload.number, "attempt": job.attempt}


def _tapped(jobtype: JobType) -> JobType:
    handler: Callable[[Any, Job], Any] = jobtype.handler

    def call(payload: Any, job: Job) -> Any:
        note(LEDGER, "start", job, 0)
        return handler(payload, job)

    return dataclasses.replace(jobtype, handler=call, retry=dataclasses.replace(jobtype.retry, crashes=CRASHES))


_get = Registry.get


def _get_tapped(self: Registry, name: str) -> JobType | None:
    found = _get(self, name)
    return _tapped(found) if found is not None and name in {"CSV_EXPORT", "EMAIL_SEND"} else found


# The built-in handlers write no ledger, and are to be counted all the same: tapped where a worker looks them up. There
# they get their crashes, too: the API has no member for these.
Registry.get = _get_tapped  # type: ignore[method-assign]
