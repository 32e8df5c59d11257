"""``Place``: the queue of a measurement in somebody's database, and the processes that serve it and nothing else."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO

from treadle.cli.measure.hints import forget_lines
from treadle.cli.measure.noop import QUEUE, TYPE
from treadle.cli.measure.screen import Tell
from treadle.cli.processes import NotUp, free_ports, last_words, started, wait_until_up
from treadle.clock import Clock
from treadle.errors import Conflict
from treadle.ids import JobId
from treadle.settings import Settings
from treadle.states import Status, Verb
from treadle.store.protocol import JobFilter, Store

REMOVED_AT_ONCE = 500
PAGE_JOBS = 200
REST = timedelta(seconds=30)
"""Where the last job or beat of a measurement is so long ago, it was killed, and does not go on."""

_OURS = JobFilter(type=TYPE, queue=QUEUE)
_UNFINISHED = ((Status.QUEUED, Status.PROCESSING), (Status.SCHEDULED, Status.RETRYING))
"""As the store has indexes for them."""


class Place:
    """One database; ``folder`` holds what the processes write beside it."""

    def __init__(self, settings: Settings, store: Store, clock: Clock, folder: Path, slots: int) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._folder = folder
        self._prefix = f"{settings.redis_prefix[:48]}{QUEUE}:"
        self._port, metrics_port = free_ports(2)
        self._environment = {**os.environ, **_overrides(settings, folder, self._prefix)}
        self._environment |= {
            "API_PORT": str(self._port),
            "TREADLE_METRICS_PORT": str(metrics_port),
            "TREADLE_CONCURRENCY": str(slots),
        }

    @property
    def url(self) -> str:
        """Of its API."""
        return f"http://127.0.0.1:{self._port}"

    async def take(self) -> None:
        """Return when the queue is empty and nobody's. Raises ``Conflict``.

        What an earlier measurement left that was killed is removed.
        """
        rested_since = self._clock.now() - REST
        is_served = any(
            worker.queues == (QUEUE,) and worker.beat_at > rested_since for worker in await self._store.workers()
        )
        newest = (await self._store.page(_OURS, None, 1)).jobs
        if is_served or (newest and newest[0].created_at > rested_since):
            raise Conflict(
                f"another treadle bench works on this database, or was killed less than {REST.seconds} seconds ago"
            )
        await self._sweep()
        if foreign := await self._foreign_type():
            raise Conflict(
                f"the queue {QUEUE} holds jobs of the type {foreign}, which would be measured too: "
                "let them end, or cancel them"
            )

    @asynccontextmanager
    async def api(self) -> AsyncIterator[None]:
        """``treadle api``, ready. Raises ``NotUp``."""
        with self._log("api") as log, started("api", self._environment, log=log) as process:
            try:
                await asyncio.to_thread(wait_until_up, process, self.url)
            except NotUp as error:
                raise NotUp(f"{error}: {last_words(log)}") from None
            yield

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Worker]:
        """``treadle worker``, started and not waited for."""
        with self._log("worker") as log, started("worker", self._environment, log=log) as process:
            yield Worker(process, log)

    async def clear(self, ids: Sequence[JobId], tell: Tell) -> None:
        """Delete these jobs, and those whose ids nobody heard of. The processes have ended."""
        for begin in range(0, len(ids), REMOVED_AT_ONCE):
            await self._remove(ids[begin : begin + REMOVED_AT_ONCE])
            tell(min(begin + REMOVED_AT_ONCE, len(ids)))
        await self._sweep()
        if self._settings.redis_url is not None:
            await forget_lines(self._settings.redis_url, self._prefix, await self._store.queue_names())

    def _log(self, room: str) -> IO[bytes]:
        return (self._folder / f"{room}.log").open("w+b")

    async def _remove(self, ids: Sequence[JobId]) -> int:
        """How many went. One that is not final is cancelled first."""
        deleted = await self._store.delete(ids)
        left = [job.job_id for job in deleted if job.before is not None and job.after is None]
        if left:
            await self._store.operate(Verb.CANCEL, left, self._clock.now())
            deleted += await self._store.delete(left)
        return sum(job.after is not None for job in deleted)

    async def _sweep(self) -> None:
        """Remove whatever else is ours among the newest jobs."""
        while jobs := (await self._store.page(_OURS, None, PAGE_JOBS)).jobs:
            if not await self._remove([job.id for job in jobs]):
                return

    async def _foreign_type(self) -> str | None:
        """The type of an unfinished job in the queue that is not ours."""
        for statuses in _UNFINISHED:
            below: JobId | None = None
            while True:
                page = await self._store.page(JobFilter(statuses=statuses, queue=QUEUE), below, PAGE_JOBS)
                for job in page.jobs:
                    if job.type != TYPE:
                        return job.type
                below = page.next_cursor
                if below is None:
                    break
        return None


class Worker:
    """A worker process that was started."""

    def __init__(self, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self._process = process
        self._log = log

    def check(self) -> None:
        """Raises ``NotUp`` where it has ended."""
        if (code := self._process.poll()) is not None:
            raise NotUp(f"the worker that was started ended with exit code {code}: {last_words(self._log)}")


@asynccontextmanager
async def own_folder() -> AsyncIterator[Path]:
    """For logs and files of the processes; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="treadle-bench-") as folder:
        yield Path(folder)


def _overrides(settings: Settings, folder: Path, redis_prefix: str) -> dict[str, str]:
    """What our processes are told in place of what the installation's are.

    Overrides, not an environment without these names: ``.env`` would give them back.
    """
    database = settings.database_url or f"sqlite:///{(settings.data_dir / 'treadle.db').absolute()}"
    return {
        "DATABASE_URL": database,
        "DATABASE_URL_FILE": "",
        # Only this machine reaches it, and it wants no key.
        "TREADLE_HOST": "127.0.0.1",
        "TREADLE_METRICS_HOST": "127.0.0.1",
        "TREADLE_API_KEYS": "",
        "TREADLE_API_KEYS_FILE": "",
        "TREADLE_APP": "treadle.cli.measure.noop:app",
        "TREADLE_QUEUES": QUEUE,
        # Lists of our own: from those of the installation its workers would take our hints.
        "TREADLE_REDIS_PREFIX": redis_prefix,
        "TREADLE_DATA_DIR": str(folder / "data"),
        "TREADLE_OUTPUT_DIR": str(folder / "output"),
        # How long jobs are kept is the installation's to say, and here perhaps not said.
        **{f"TREADLE_RETENTION_{status}_DAYS": "0" for status in ("COMPLETED", "FAILED", "DEAD", "CANCELLED")},
        "TREADLE_MIGRATE": "off",
        "TREADLE_MAX_BODY_BYTES": str(10 * 1024 * 1024),
        "TREADLE_LOG_LEVEL": "warning",
        "TREADLE_LOG_FORMAT": "text",
    }
