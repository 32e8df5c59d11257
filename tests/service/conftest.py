"""A runtime without a worker, its store and its dispatch open to faults."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from treadle.ids import JobId
from treadle.job import JobRequest, StoredJob
from treadle.jobtype import Registry
from treadle.retry import Retry
from treadle.service.runtime import Runtime
from treadle.service.submit import Submitter
from treadle.store.protocol import Store
from treadle.testing import FaultyDispatch, FaultyStore, open_test_runtime


class Point(msgspec.Struct, forbid_unknown_fields=True):
    x: int
    y: int = 0


@dataclass
class Office:
    """What tests of the verbs work on."""

    runtime: Runtime
    real_store: Store
    store: FaultyStore
    dispatch: FaultyDispatch
    submitter: Submitter
    folder: Path

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.folder / "data" / "treadle.db"

    async def submit(self, type_name: str = "ANY", **members: Any) -> JobId:
        """A new job."""
        request = JobRequest(**{"type": type_name, "payload": b"{}", **members})
        return (await self.submitter.submit([request])).ids[0]

    async def job(self, job_id: JobId) -> StoredJob:
        """The job as it stands."""
        return (await self.real_store.get([job_id]))[job_id]

    def set(self, **settings: Any) -> None:
        """Change settings that are read at each call."""
        self.runtime.settings = msgspec.structs.replace(self.runtime.settings, **settings)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    registry = Registry()

    @registry.job("ANY")
    def handle_any(payload: dict[str, Any]) -> None: ...

    @registry.job("POINT", retry=Retry(attempts=5, crashes=2, base_seconds=4, cap_seconds=100), timeout=7, queue="maps")
    def handle_point(payload: Point) -> None: ...

    async with open_test_runtime(registry, folder=tmp_path, has_worker=False) as runtime:
        real_store = runtime.store
        runtime.store = store = FaultyStore(real_store)
        runtime.dispatch = dispatch = FaultyDispatch(runtime.dispatch)
        submitter = Submitter(runtime)
        yield Office(runtime, real_store, store, dispatch, submitter, tmp_path)
        store.heal()
        await submitter.aclose()
