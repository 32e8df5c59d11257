"""Attempts without a store: for the executor and the bookkeeping."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from tests.builders import NOW
from treadle.artifacts.folder import ArtifactFolder
from treadle.clock import Clock
from treadle.ids import WorkerId, new_job_id
from treadle.job import ClaimedJob
from treadle.queue import DEFAULT_QUEUE, Priority
from treadle.retry import Backoff
from treadle.testing import ManualClock
from treadle.worker.attempt import Attempt, Home

WORKER = WorkerId("0c1f5e0a-5a3c-4f5e-9a51-3f0f9e3f7c11")


def a_claimed_job(**overrides: Any) -> ClaimedJob:
    """A first attempt that has just been claimed."""
    job = ClaimedJob(
        id=new_job_id(),
        type="TEST",
        queue=DEFAULT_QUEUE,
        priority=Priority.DEFAULT,
        payload=b"{}",
        attempt=1,
        failures=0,
        crashes=0,
        snoozes=0,
        max_attempts=3,
        max_crashes=3,
        timeout_seconds=30.0,
        backoff=Backoff(),
        created_at=NOW,
        queued_at=NOW,
        started_at=NOW,
        checkpoint=None,
        traceparent=None,
    )
    return replace(job, **overrides)


async def no_checkpoint(attempt: Attempt, checkpoint: bytes) -> None:
    """For handlers that save none."""
    raise AssertionError("nobody was to save a checkpoint")


def an_attempt(clock: Clock | None = None, *, folder: Path = Path("/nowhere"), **job: Any) -> Attempt:
    """An attempt in a worker's hands; call it on the worker's loop."""
    clock = clock or ManualClock()
    home = Home(clock, ArtifactFolder(folder), lambda: clock.rising() + 1, no_checkpoint)
    return Attempt(a_claimed_job(**job), WORKER, home, clock.rising())
