"""``Job``: what a handler sees of the attempt it runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, BinaryIO, Protocol

import msgspec

from treadle.ids import JobId
from treadle.job import MAX_CHECKPOINT_BYTES
from treadle.jsontext import to_storable


class AttemptLink(Protocol):
    """How a ``Job`` reaches the worker; every method may be called from any thread."""

    def is_cancelled(self) -> bool:
        """Whether a cancel was requested, or the attempt was aborted."""
        ...

    def is_lease_valid(self) -> bool:
        """Whether the worker's lease has certainly not expired yet."""
        ...

    def report_progress(self, progress: bytes) -> None:
        """Take the newest progress; written at most once a second."""
        ...

    def save_checkpoint(self, checkpoint: bytes) -> Future[None]:
        """Store a note, fenced by the attempt; the future fails with ``LeaseLost`` where that is past."""
        ...

    def open_artifact(self, name: str, media_type: str, *, deterministic: bool) -> AbstractContextManager[BinaryIO]:
        """A file that is published when the block ends without an exception."""
        ...


class Job:
    """One attempt, as its handler sees it. Safe to use from any thread."""

    def __init__(
        self,
        link: AttemptLink,
        *,
        id: JobId,
        type: str,
        queue: str,
        attempt: int,
        created_at: datetime,
        checkpoint: bytes | None,
        log: logging.LoggerAdapter[logging.Logger],
    ) -> None:
        self._link = link
        self.id = id
        self.type = type
        self.queue = queue
        self.attempt = attempt
        """Starts of this job so far, this one included; only ever rises."""
        self.created_at = created_at
        self.last_checkpoint: Any = msgspec.json.decode(checkpoint) if checkpoint is not None else None
        """What the last ``checkpoint`` of any attempt saved, or ``None``."""
        self.log = log
        """A logger whose lines carry job, type and attempt."""

    @property
    def idempotency_key(self) -> str:
        """The same over all attempts: hand it to services that can tell a repeat."""
        return self.id

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked this job to stop; a long handler looks now and then."""
        return self._link.is_cancelled()

    def lease_valid(self) -> bool:
        """Whether this attempt certainly still counts.

        After a pause longer than the lease it is false although nobody has said so yet: look before acting on
        the outside world.
        """
        return self._link.is_lease_valid()

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Tell how far it is; cheap, written at most once a second, the newest wins."""
        told: Mapping[str, Any] = {"done": done, "total": total, "message": message}
        self._link.report_progress(to_storable(told, max_bytes=4096))

    def artifact(
        self, name: str, media_type: str = "application/octet-stream", *, deterministic: bool = False
    ) -> AbstractContextManager[BinaryIO]:
        """A file to write bytes to: ``with job.artifact("report.pdf") as file: ...``.

        Published (fsync, rename) when the block ends without an exception, and never half. Attempts write
        files of their own and the settled row names those that count. ``deterministic=True`` promises that
        every attempt writes the same bytes: then they share one file, ``{job id}{suffix of name}``.
        ``name``: ``[A-Za-z0-9][A-Za-z0-9._-]{0,99}``; raises ``ValueError`` otherwise, and for a media type that is
        none.
        """
        return self._link.open_artifact(name, media_type, deterministic=deterministic)

    async def checkpoint(self, value: Any) -> None:
        """Save a note (JSON, at most 64 KiB) that the next attempt finds in ``last_checkpoint``.

        Durable when it returns. Raises ``LeaseLost`` when this attempt no longer counts: stop then.
        """
        await asyncio.wrap_future(self._save(value))

    def checkpoint_blocking(self, value: Any) -> None:
        """``checkpoint`` for a handler that is a plain ``def``."""
        self._save(value).result()

    def _save(self, value: Any) -> Future[None]:
        checkpoint = to_storable(value, max_bytes=MAX_CHECKPOINT_BYTES)
        saved = self._link.save_checkpoint(checkpoint)
        # As the next attempt will find it, and not the handler's own object, which it goes on changing.
        self.last_checkpoint = msgspec.json.decode(checkpoint)
        return saved
