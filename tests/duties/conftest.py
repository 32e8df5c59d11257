"""A runtime without a worker: duties are called one step at a time, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders import a_new_job, a_submission, a_worker
from tests.worker.house import Door
from treadle.ids import JobId, WorkerId
from treadle.job import ClaimedJob, StoredJob
from treadle.jobtype import Registry
from treadle.service.claim import claim
from treadle.service.runtime import Runtime
from treadle.store.protocol import Store
from treadle.testing import FaultyDispatch, FaultyStore, ManualClock, open_test_runtime

LEASE = 15.0
SWEEP = 5.0
SETTINGS = {
    "TREADLE_LEASE_SECONDS": f"{LEASE:g}",
    "TREADLE_HEARTBEAT_SECONDS": "2",
    "TREADLE_SWEEP_SECONDS": f"{SWEEP:g}",
    "TREADLE_POLL_SECONDS": "1",
    "TREADLE_RETRY_BASE_SECONDS": "2",
}


class Ground:
    """What a test of a duty stands on."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.real_store: Store = runtime.store
        self.store = FaultyStore(self.real_store)
        self.dispatch = FaultyDispatch(runtime.dispatch)
        self.clock = ManualClock()
        runtime.store, runtime.dispatch, runtime.clock = self.store, self.dispatch, self.clock

    async def insert(self, **job: Any) -> JobId:
        """A new job."""
        return (await self.insert_many(1, **job))[0]

    async def insert_many(self, count: int, **job: Any) -> list[JobId]:
        """New jobs, by one commit."""
        new = tuple(a_new_job(**job) for _ in range(count))
        await self.real_store.insert([a_submission(*new)], self.clock.now())
        return [job.id for job in new]

    async def a_worker(self) -> WorkerId:
        """A registered worker that nobody runs."""
        worker = a_worker()
        await self.real_store.register_worker(worker)
        return worker.id

    async def beat(self, worker_id: WorkerId) -> None:
        """One beat of it."""
        await self.real_store.beat(worker_id, 1, self.clock.now())

    async def claimed_by(self, worker_id: WorkerId) -> ClaimedJob:
        """The oldest ready job, in the hands of a worker."""
        [job] = await claim(self.runtime, worker_id, None, None, 1)
        return job

    async def job(self, job_id: JobId) -> StoredJob:
        """The job as it stands."""
        return (await self.real_store.get([job_id]))[job_id]


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    registry = Registry()

    @registry.job("TEST")
    def test(payload: dict[str, Any]) -> None: ...

    async with open_test_runtime(registry, SETTINGS, folder=tmp_path, has_worker=False) as runtime:
        yield Ground(runtime)


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door()
    yield door
    door.open()
