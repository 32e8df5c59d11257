"""A house to run jobs in: a real SQLite store, one worker in this process, faults to order; and doors for handlers."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tests.waiting import eventually
from treadle.ids import JobId
from treadle.job import JobRequest, StoredJob
from treadle.jobtype import Registry
from treadle.queue import Priority
from treadle.service.runtime import Runtime
from treadle.service.submit import Submitter
from treadle.states import FINAL, Status
from treadle.store.protocol import WorkerRecord
from treadle.testing import FaultyDispatch, FaultyStore, open_test_runtime
from treadle.worker.worker import Worker

QUICK = {
    "TREADLE_HEARTBEAT_SECONDS": "0.1",
    "TREADLE_POLL_SECONDS": "0.05",
    "TREADLE_RECONCILE_SECONDS": "0.4",
    "TREADLE_CONCURRENCY": "4",
    "TREADLE_OVERRUN_SECONDS": "0.2",
}
"""Faster still than ``FAST``: nothing here shares the store with another process."""


class Door:
    """Where handlers wait until the test opens it; from a thread (``wait``) or from any loop (``passed``)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_open = threading.Event()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self.entered: list[Any] = []
        """Who came to the door, in order."""

    def open(self) -> None:
        """Let everybody through, now and later."""
        with self._lock:
            self._is_open.set()
            for loop, future in self._waiting:
                with contextlib.suppress(RuntimeError):  # that loop has ended
                    loop.call_soon_threadsafe(_let_go, future)
            self._waiting.clear()

    def wait(self, who: Any = None) -> None:
        """Block this thread until the door is open."""
        self.entered.append(who)
        assert self._is_open.wait(60), "nobody opened the door"

    async def passed(self, who: Any = None) -> None:
        """Wait until the door is open."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            self.entered.append(who)
            if self._is_open.is_set():
                return
            self._waiting.append((loop, future))
        await future


def _let_go(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


@dataclass
class House:
    """What a test holds."""

    runtime: Runtime
    store: FaultyStore
    dispatch: FaultyDispatch
    submitter: Submitter
    worker: Worker
    _stopped: set[Worker] = field(default_factory=set)

    async def submit(self, type_name: str, payload: Any = None, **members: Any) -> JobId:
        """The id of a new job."""
        body = msgspec.json.encode({} if payload is None else payload)
        submitted = await self.submitter.submit([JobRequest(type=type_name, payload=body, **members)])
        return submitted.ids[0]

    async def submit_many(self, type_name: str, count: int, **members: Any) -> list[JobId]:
        """The ids of new jobs, numbered ``{"n": 0}`` and so on."""
        requests = [JobRequest(type=type_name, payload=b'{"n":%d}' % n, **members) for n in range(count)]
        return list((await self.submitter.submit(requests)).ids)

    async def job(self, job_id: JobId) -> StoredJob:
        """The job as it stands, whatever faults are ordered."""
        found: dict[JobId, StoredJob] = await self.real_store.get([job_id])
        return found[job_id]

    async def status(self, job_id: JobId) -> Status:
        """Where the job stands."""
        return (await self.job(job_id)).status

    async def until(self, job_id: JobId, *statuses: Status, within_seconds: float = 10) -> StoredJob:
        """The job, once it stands in one of ``statuses`` (default: a final one)."""
        wanted = statuses or tuple(FINAL)

        async def stands_there() -> StoredJob | None:
            job = await self.job(job_id)
            return job if job.status in wanted else None

        found: StoredJob | None = await eventually(stands_there, within_seconds=within_seconds)
        assert found is not None
        return found

    async def count(self, status: Status) -> int:
        """How many jobs stand in ``status``."""
        counts: dict[Status, int] = await self.real_store.counts()
        return counts[status]

    async def leases(self) -> list[WorkerRecord]:
        """Leases that have not ended."""
        workers: list[WorkerRecord] = await self.real_store.workers()
        return workers

    @property
    def real_store(self) -> Any:
        """The store without its faults."""
        return self.store._store

    async def stop(self, grace_seconds: float = 5) -> None:
        """Stop the worker."""
        self._stopped.add(self.worker)
        await self.worker.stop(grace_seconds)


def errors_of(job: StoredJob) -> list[dict[str, Any]]:
    """The job's ended attempts that failed."""
    errors: list[dict[str, Any]] = msgspec.json.decode(job.errors)
    return errors


@asynccontextmanager
async def open_house(
    registry: Registry,
    settings: Mapping[str, str] | None = None,
    *,
    folder: Path | None = None,
    is_started: bool = True,
    before: Callable[[House], None] | None = None,
) -> AsyncIterator[House]:
    """A house whose worker runs; ``before`` may order faults before it starts."""
    async with open_test_runtime(registry, {**QUICK, **(settings or {})}, folder=folder) as runtime:
        store, dispatch = FaultyStore(runtime.store), FaultyDispatch(runtime.dispatch)
        runtime.store, runtime.dispatch = store, dispatch
        submitter = Submitter(runtime)
        house = House(runtime, store, dispatch, submitter, Worker(runtime, "test"))
        if before is not None:
            before(house)
        if is_started:
            await house.worker.start()
        try:
            yield house
        finally:
            store.heal()
            await submitter.aclose()
            if is_started and house.worker not in house._stopped:
                await house.worker.stop(0)


def a_line_of(priority: Priority, queue: str = "default") -> dict[str, Any]:
    """Members of a submission."""
    return {"priority": priority, "queue": queue}
