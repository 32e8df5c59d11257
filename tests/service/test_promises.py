"""Promises that stand between the verbs: order of commit and hint, the safety net, claims whose answer was lost."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import eventually
from treadle.dispatch.local import SilentDispatch
from treadle.errors import Unavailable
from treadle.ids import JobId
from treadle.job import ClaimedJob, JobRequest, StoredJob
from treadle.jobtype import Registry
from treadle.queue import Priority
from treadle.service.browse import get
from treadle.service.runtime import Runtime
from treadle.service.submit import Submitter
from treadle.states import Status
from treadle.store.protocol import ClaimRequest
from treadle.testing import open_test_runtime
from treadle.worker.worker import Worker

ECHO = JobRequest(type="ECHO", payload=b'{"a": 1}')


def registry() -> Registry:
    types = Registry()

    @types.job("ECHO")
    def echo(payload: dict[str, Any]) -> dict[str, Any]:
        return payload

    return types


@asynccontextmanager
async def open_house(folder: Path) -> AsyncIterator[tuple[Runtime, Submitter]]:
    async with open_test_runtime(registry(), folder=folder) as runtime:
        submitter = Submitter(runtime)
        yield runtime, submitter
        await submitter.aclose()


async def completed(runtime: Runtime, job_id: str) -> StoredJob:
    async def found() -> StoredJob | None:
        job = await get(runtime, JobId(job_id))
        return job if job.status is Status.COMPLETED else None

    job: StoredJob | None = await eventually(found)
    assert job is not None
    return job


class Witness(SilentDispatch):
    """Looks, at the moment of each hint, whether the row is there for everybody."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self.seen: list[bool] = []

    def announce(self, queue: str, priority: Priority, ids: Sequence[JobId]) -> None:
        with sqlite3.connect(self._database) as beside:
            rows = {row[0] for row in beside.execute("SELECT id FROM jobs")}
        beside.close()
        self.seen += [job_id in rows for job_id in ids]


async def test_a_job_is_announced_after_its_commit(tmp_path: Path) -> None:
    async with open_house(tmp_path) as (runtime, submitter):
        runtime.dispatch = witness = Witness(tmp_path / "data" / "treadle.db")
        await submitter.submit([ECHO] * 3)
    assert witness.seen == [True, True, True]


async def test_without_a_single_hint_every_job_runs(tmp_path: Path) -> None:
    async with open_house(tmp_path) as (runtime, submitter):
        runtime.dispatch = SilentDispatch()
        worker = Worker(runtime, "test")
        await worker.start()
        submitted = await submitter.submit([ECHO] * 40)
        for job_id in submitted.ids:
            assert (await completed(runtime, job_id)).attempt == 1
        await worker.stop(1.0)


async def test_a_claim_whose_answer_was_lost_is_given_back_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(tmp_path) as (runtime, submitter):
        claim, lost = runtime.store.claim, list[ClaimedJob]()

        async def lossy(request: ClaimRequest, now: datetime) -> list[ClaimedJob]:
            jobs = await claim(request, now)
            if jobs and not lost:
                lost.extend(jobs)
                raise Unavailable("the answer was lost")
            return jobs

        monkeypatch.setattr(runtime.store, "claim", lossy)
        submitted = await submitter.submit([ECHO])
        worker = Worker(runtime, "test")
        await worker.start()

        job = await completed(runtime, submitted.ids[0])

        assert len(lost) == 1
        assert (job.attempt, job.crashes, job.failures) == (2, 0, 0)
        await worker.stop(1.0)


async def test_an_outcome_is_kept_over_an_outage_and_settled_after_a_beat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(tmp_path) as (runtime, submitter):
        settle, beat, story = runtime.store.settle, runtime.store.beat, list[str]()

        async def away_once(*arguments: Any) -> Any:
            if "away" not in story:
                story.append("away")
                raise Unavailable
            story.append("settle")
            return await settle(*arguments)

        async def told(*arguments: Any) -> Any:
            story.append("beat")
            return await beat(*arguments)

        monkeypatch.setattr(runtime.store, "settle", away_once)
        monkeypatch.setattr(runtime.store, "beat", told)
        worker = Worker(runtime, "test")
        await worker.start()
        submitted = await submitter.submit([ECHO])

        assert (await completed(runtime, submitted.ids[0])).attempt == 1

        assert story.index("settle") > story.index("away")
        assert "beat" in story[story.index("away") : story.index("settle")]
        await worker.stop(1.0)
