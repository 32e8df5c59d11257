"""``Attempt``: one claimed job in this process's hands, shared by the worker's loop and the handler's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, BinaryIO

from treadle.artifacts.folder import ArtifactFolder
from treadle.clock import Clock
from treadle.ids import JobId, WorkerId
from treadle.job import ClaimedJob
from treadle.outcome import Artifact


class StopReason(StrEnum):
    """Why a running handler was asked to end. The first reason stays, except that ``lost`` overrides all."""

    CANCEL = "cancel"
    TIMEOUT = "timeout"
    SHUTDOWN = "shutdown"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Home:
    """What all attempts of one worker share; belongs to the worker's loop, on which it is made."""

    clock: Clock
    artifacts: ArtifactFolder
    lease_valid_until: Callable[[], float]
    """Rising seconds until which the worker's lease holds for certain."""
    save_checkpoint: Callable[[Attempt, bytes], Coroutine[Any, Any, None]]
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)


class Attempt:
    """Implements ``AttemptLink``; the worker's side of it belongs to the worker's loop."""

    # What most attempts never change stands here: one is made for every job.
    stop_reason: StopReason | None = None
    is_settling = False
    _is_stopped = False
    _interrupt: Callable[[], None] | None = None
    _progress: bytes | None = None
    _is_progress_new = False

    def __init__(self, job: ClaimedJob, worker_id: WorkerId, home: Home, claimed_at: float) -> None:
        """``claimed_at``: rising seconds of when its claim was answered."""
        self.job = job
        self.worker_id = worker_id
        self.claimed_at = claimed_at
        self.published: list[Artifact] = []
        self._home = home

    @property
    def id(self) -> JobId:
        """The job's id."""
        return self.job.id

    @property
    def is_lost(self) -> bool:
        """Whether the job is no longer this worker's: nothing that comes out of the handler counts."""
        return self.stop_reason is StopReason.LOST

    @property
    def progress(self) -> bytes | None:
        """The newest progress the handler told."""
        return self._progress

    def stop(self, reason: StopReason) -> None:
        """Ask the handler to end: its ``job.cancelled`` turns true, an async one gets a ``CancelledError``."""
        if self.stop_reason is None or reason is StopReason.LOST:
            self.stop_reason = reason
        if not self._is_stopped:
            self._is_stopped = True
            if self._interrupt is not None:
                self._interrupt()

    def interrupt_with(self, interrupt: Callable[[], None]) -> None:
        """How to reach a handler that has just been started."""
        self._interrupt = interrupt
        if self._is_stopped:
            interrupt()

    def handler_ended(self) -> None:
        """Nobody is left to interrupt, and what would interrupt him, and holds this, can go."""
        self._interrupt = None

    def take_new_progress(self) -> bytes | None:
        """The newest progress if it was not taken yet."""
        if not self._is_progress_new:
            return None
        self._is_progress_new = False
        return self._progress

    def renew_progress(self) -> None:
        """What was taken could not be written: it is new once more."""
        self._is_progress_new = True

    @property
    def lease_valid_until(self) -> float:
        """Rising seconds until which the worker's lease holds for certain; 0 where the job is lost."""
        return 0.0 if self.is_lost else self._home.lease_valid_until()

    async def save_checkpoint_here(self, checkpoint: bytes) -> None:
        """``save_checkpoint`` for who is on the worker's loop already. Raises ``LeaseLost``."""
        await self._home.save_checkpoint(self, checkpoint)

    def is_cancelled(self) -> bool:
        """See ``AttemptLink``."""
        return self._is_stopped

    def is_lease_valid(self) -> bool:
        """See ``AttemptLink``."""
        return not self.is_lost and self._home.clock.rising() < self._home.lease_valid_until()

    def report_progress(self, progress: bytes) -> None:
        """See ``AttemptLink``."""
        self._progress = progress
        self._is_progress_new = True

    def save_checkpoint(self, checkpoint: bytes) -> Future[None]:
        """See ``AttemptLink``."""
        return asyncio.run_coroutine_threadsafe(self._home.save_checkpoint(self, checkpoint), self._home.loop)

    def open_artifact(self, name: str, media_type: str, *, deterministic: bool) -> AbstractContextManager[BinaryIO]:
        """See ``AttemptLink``."""
        return self._home.artifacts.write(
            self.job.id,
            self.job.attempt,
            name,
            media_type,
            deterministic=deterministic,
            published=self.published.append,
        )
