"""A house to run jobs in: a real SQLite store, one worker in this process, faults to order; and doors for handlers."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from tests.waiting import eventually
from treadle.ids import JobId, WorkerId
from treadle.job import ClaimedJob, JobRequest, StoredJob
from treadle.jobtype import Registry
from treadle.service.runtime import Runtime
from treadle.service.submit import Submitter
from treadle.states import FINAL, Status
from treadle.store.protocol import ClaimRequest, HeldJob, Move, Note, Settled, Store, WorkerRecord
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


class WatchedStore(FaultyStore):
    """Also remembers what was claimed and settled."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.claims: list[ClaimRequest] = []
        self.settles: list[Sequence[Move]] = []
        self.notes: list[Note] = []
        self.written: list[str] = []
        """The names of beats and settles in the order in which they were sent."""
        self.looks: list[Sequence[JobId] | None] = []
        """What each beat asked for."""

    async def claim(self, request: ClaimRequest, now: datetime) -> list[ClaimedJob]:
        self.claims.append(request)
        return await super().claim(request, now)

    async def settle(self, moves: Sequence[Move], now: datetime) -> list[Settled]:
        self.settles.append(moves)
        self.written.append("settle")
        return await super().settle(moves, now)

    async def beat(
        self, worker_id: WorkerId, running: int, now: datetime, ids: Sequence[JobId] | None = None
    ) -> list[HeldJob] | None:
        self.written.append("beat")
        self.looks.append(ids)
        return await super().beat(worker_id, running, now, ids)

    async def note(self, notes: Sequence[Note], now: datetime) -> list[bool]:
        self.notes += notes
        return await super().note(notes, now)


@dataclass
class House:
    """What a test holds."""

    runtime: Runtime
    real_store: Store
    """Without faults."""
    store: WatchedStore
    dispatch: FaultyDispatch
    submitter: Submitter
    worker: Worker
    is_running: bool = False

    async def start(self) -> None:
        """Start the worker."""
        self.is_running = True
        await self.worker.start()

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

        async def stands_there() -> bool:
            return await self.status(job_id) in wanted

        await eventually(stands_there, within_seconds=within_seconds)
        return await self.job(job_id)

    async def count(self, status: Status) -> int:
        """How many jobs stand in ``status``."""
        counts: dict[Status, int] = await self.real_store.counts()
        return counts[status]

    async def leases(self) -> list[WorkerRecord]:
        """Leases that have not ended."""
        workers: list[WorkerRecord] = await self.real_store.workers()
        return workers

    async def stop(self, grace_seconds: float = 5) -> None:
        """Stop the worker."""
        self.is_running = False
        await self.worker.stop(grace_seconds)

    async def beats(self, count: int) -> None:
        """Return when that many more beats have been sent and the first of them is answered."""
        goal = self.store.calls["beat"] + count
        await eventually(lambda: self.store.calls["beat"] >= goal)


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
) -> AsyncIterator[House]:
    """A house whose worker runs (or, with ``is_started=False``, is still to be started)."""
    async with open_test_runtime(registry, {**QUICK, **(settings or {})}, folder=folder) as runtime:
        real_store = runtime.store
        store, dispatch = WatchedStore(real_store), FaultyDispatch(runtime.dispatch)
        runtime.store, runtime.dispatch = store, dispatch
        submitter = Submitter(runtime)
        house = House(runtime, real_store, store, dispatch, submitter, Worker(runtime, "test"))
        if is_started:
            await house.start()
        try:
            yield house
        finally:
            store.heal()
            await submitter.aclose()
            if house.is_running:
                await house.stop(0)
