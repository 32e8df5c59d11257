"""One job's life without a worker: its attempts one after the other, and the checkpoint that passes between them."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from tests.builders import NOW
from treadle import Job, Treadle
from treadle.ids import JobId
from treadle.telemetry.logs import FieldsAdapter

ID = JobId("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")


class Life:
    """Implements ``AttemptLink``; ``attempt`` decodes the payload as a worker does and calls the handler."""

    def __init__(self, app: Treadle, type: str, payload: object, *, folder: Path | None = None) -> None:
        jobtype = app.get(type)
        assert jobtype is not None
        self._jobtype = jobtype
        self._payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self._folder = folder
        self.attempts = 0
        self.notes: list[Any] = []
        """Every checkpoint that was saved."""
        self.progress: list[dict[str, Any]] = []
        self.is_stopped = False
        self.has_lease = True
        self.on_checkpoint: Callable[[], Awaitable[None]] | None = None
        """Awaited before a checkpoint is saved; what it raises, the handler gets."""
        self.on_progress: Callable[[], None] | None = None

    async def attempt(self) -> Any:
        """Run the next attempt: its result, or what the handler raised."""
        self.attempts += 1
        job = Job(
            self,
            id=ID,
            type=self._jobtype.name,
            queue="default",
            attempt=self.attempts,
            created_at=NOW,
            checkpoint=json.dumps(self.notes[-1]).encode() if self.notes else None,
            log=FieldsAdapter(logging.getLogger("treadle.test"), {"job": ID}),
        )
        answer = self._jobtype.handler(self._jobtype.model.decode(self._payload), job)
        return await answer if inspect.isawaitable(answer) else answer

    def is_cancelled(self) -> bool:
        return self.is_stopped

    def is_lease_valid(self) -> bool:
        return self.has_lease

    def report_progress(self, progress: bytes) -> None:
        self.progress.append(json.loads(progress))
        if self.on_progress is not None:
            self.on_progress()

    def save_checkpoint(self, checkpoint: bytes) -> Future[None]:
        async def save() -> None:
            if self.on_checkpoint is not None:
                await self.on_checkpoint()
            self.notes.append(json.loads(checkpoint))

        return asyncio.run_coroutine_threadsafe(save(), asyncio.get_running_loop())

    def open_artifact(self, name: str, media_type: str, *, deterministic: bool) -> AbstractContextManager[BinaryIO]:
        assert (name, media_type, deterministic) == ("export.csv", "text/csv", True)
        return self._published(f"{ID}.csv")

    @contextmanager
    def _published(self, name: str) -> Iterator[BinaryIO]:
        assert self._folder is not None
        partial = self._folder / "partial"
        with partial.open("wb") as file:
            yield file
        partial.rename(self._folder / name)
