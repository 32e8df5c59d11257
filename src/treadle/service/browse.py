"""Browse: reading jobs, one, many, and waiting for one to end. Changes nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from treadle.errors import NotFound, Unavailable
from treadle.ids import JobId
from treadle.job import StoredJob
from treadle.service.runtime import Runtime
from treadle.states import FINAL, Status
from treadle.store.protocol import JobFilter, Page

logger = logging.getLogger("treadle.service")

FAILED_FOR_GOOD = (Status.FAILED, Status.DEAD)
WATCH_SECONDS = 0.05
"""Pause between the reads that serve all waiters of a process: an answer is late by at most this and a read."""


async def get(runtime: Runtime, job_id: JobId, *, payload: bool = False) -> StoredJob:
    """The job. Raises ``NotFound``."""
    found = await runtime.store.get([job_id], payload=payload)
    if job_id not in found:
        raise NotFound("no job has this id")
    return found[job_id]


async def page(runtime: Runtime, wanted: JobFilter, below: JobId | None, limit: int) -> Page:
    """Jobs newest first; see ``Store.page``."""
    return await runtime.store.page(wanted, below, limit)


async def counts(runtime: Runtime) -> dict[Status, int]:
    """Jobs by status, each capped at ``COUNT_CAP``."""
    return await runtime.store.counts()


class Watcher:
    """Lets any number of callers wait for jobs to end, with one batched read a tick for all of them."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._waiting: dict[JobId, list[asyncio.Future[None]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def wait_final(self, job_id: JobId, timeout_seconds: float) -> None:
        """Return when the job is final, is gone, or the time is up; the caller reads it then."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job_id, []).append(future)
        if self._task is None:
            self._task = asyncio.create_task(self._watch())
        try:
            await asyncio.wait((future,), timeout=timeout_seconds)
        finally:
            self._forget(job_id, future)

    async def aclose(self) -> None:
        """Let every waiter go."""
        self._release(list(self._waiting))
        if self._task is not None:
            await asyncio.wait((self._task,))

    def _forget(self, job_id: JobId, future: asyncio.Future[None]) -> None:
        futures = self._waiting.get(job_id, [])
        if future in futures:
            futures.remove(future)
        if not futures:
            self._waiting.pop(job_id, None)

    async def _watch(self) -> None:
        try:
            while self._waiting:
                ids = list(self._waiting)
                try:
                    statuses = await self._runtime.store.statuses(ids)
                except Unavailable:
                    pass  # the waiters' own time-outs end this; their read then says 503
                except Exception:  # a bug; ended here, everybody who waits would wait his whole time for nothing
                    logger.exception("looking for ended jobs failed")
                else:
                    self._release([i for i in ids if i not in statuses or statuses[i] in FINAL])
                await asyncio.sleep(WATCH_SECONDS)
        finally:
            self._task = None

    def _release(self, ids: Sequence[JobId]) -> None:
        for job_id in ids:
            for future in self._waiting.pop(job_id, ()):
                if not future.done():
                    future.set_result(None)
