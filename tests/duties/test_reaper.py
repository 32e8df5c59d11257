"""The reaper: what it takes for a lease to expire, and the two steps after that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.builders import a_worker
from tests.waiting import eventually
from treadle.duties.reaper import Reaper, Watch
from treadle.ids import new_worker_id
from treadle.job import JobRequest
from treadle.jobtype import Registry
from treadle.service.browse import get
from treadle.service.claim import claim
from treadle.service.submit import Submitter
from treadle.states import Status
from treadle.testing import open_test_runtime

W = new_worker_id()
QUICK = {"TREADLE_LEASE_SECONDS": "0.3", "TREADLE_HEARTBEAT_SECONDS": "0.1", "TREADLE_SWEEP_SECONDS": "0.05"}


def test_a_counter_unchanged_for_a_whole_lease_is_expired_and_not_before() -> None:
    watch = Watch(lease_seconds=15, gap_seconds=11)
    assert watch.look([(W, 7)], 100.0) == []
    assert watch.look([(W, 7)], 105.0) == []
    assert watch.look([(W, 7)], 114.9) == []
    assert watch.look([(W, 7)], 115.0) == [(W, 7)]


def test_a_beat_in_between_starts_the_lease_anew() -> None:
    watch = Watch(lease_seconds=15, gap_seconds=11)
    watch.look([(W, 7)], 100.0)
    watch.look([(W, 8)], 110.0)
    assert watch.look([(W, 8)], 120.0) == []
    assert watch.look([(W, 8)], 125.0) == [(W, 8)]


def test_an_observer_that_was_stopped_or_could_not_look_knows_nothing() -> None:
    watch = Watch(lease_seconds=15, gap_seconds=11)
    watch.look([(W, 7)], 100.0)
    assert watch.look([(W, 7)], 111.1) == [], "a gap in its own loop"
    assert watch.look([(W, 7)], 121.0) == []
    watch.forget()
    assert watch.look([(W, 7)], 127.0) == [], "a look failed"


def registry() -> Registry:
    types = Registry()

    @types.job("ECHO")
    def echo(payload: dict[str, Any]) -> None:
        return None

    return types


async def test_a_silent_workers_lease_ends_and_its_job_is_taken_back_as_a_crash(tmp_path: Path) -> None:
    async with open_test_runtime(registry(), QUICK, folder=tmp_path, has_worker=False) as runtime:
        submitter = Submitter(runtime)
        [job_id] = (await submitter.submit([JobRequest(type="ECHO", payload=b"{}")])).ids
        worker = a_worker()
        await runtime.store.register_worker(worker)
        [claimed] = await claim(runtime, worker.id, [job_id], None, 1)
        reaper = Reaper(runtime)

        await reaper.reap_once()
        assert (await get(runtime, job_id)).status is Status.PROCESSING, "taken from a worker that may live"

        async def is_taken_back() -> bool:
            await reaper.reap_once()
            return (await get(runtime, job_id)).status is Status.RETRYING

        taken: bool = await eventually(is_taken_back)
        assert taken

        job = await get(runtime, job_id)
        assert (job.attempt, job.crashes, job.failures) == (claimed.attempt, 1, 0)
        assert await runtime.store.beat(worker.id, 0, runtime.clock.now()) is None, "the worker must learn of it"
        assert await claim(runtime, worker.id, None, None, 1) == []
        await submitter.aclose()
