"""One loop for every duty: an outage is waited out, a bug ends nothing, and jitter keeps processes apart."""

from __future__ import annotations

import asyncio
import logging
import random
from types import SimpleNamespace
from typing import Any

import pytest

from tests.waiting import eventually
from tests.worker.house import Door, open_house
from treadle.duties import loop as loop_module
from treadle.duties.duties import Duties
from treadle.duties.loop import repeat
from treadle.errors import Unavailable
from treadle.jobtype import Registry
from treadle.states import Status
from treadle.telemetry.meters import Counter
from treadle.worker.worker import Worker


class Enough(BaseException):
    """Ends a loop that has no end."""


class Script:
    """A duty that does one thing after the other; the pauses in between are noted and not slept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *steps: float | Exception) -> None:
        self.steps = list(steps)
        self.pauses: list[float] = []
        self.errors = Counter("errors", "", ("duty", "error"))
        monkeypatch.setattr(loop_module, "asyncio", SimpleNamespace(sleep=self.sleep))

    async def once(self) -> float:
        if not self.steps:
            raise Enough
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def run(self) -> list[float]:
        with pytest.raises(Enough):
            await repeat("test", self.once, random.Random(1), self.errors)
        return self.pauses


async def test_a_duty_says_itself_when_it_is_next_and_jitter_shortens_that_by_up_to_a_fifth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses = await Script(monkeypatch, *[10.0] * 50).run()

    assert all(8.0 <= pause <= 10.0 for pause in pauses)
    assert max(pauses) - min(pauses) > 1


async def test_an_outage_is_a_warning_and_tried_again_soon(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pauses = await Script(monkeypatch, Unavailable("no answer"), 10.0).run()

    assert 0.8 <= pauses[0] <= 1.0
    assert len(pauses) == 2
    [record] = caplog.records
    assert (record.levelno, record.exc_info, record.__dict__["duty"]) == (logging.WARNING, None, "test")


async def test_a_bug_is_told_with_its_traceback_and_does_not_end_the_duty(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pauses = await Script(monkeypatch, ZeroDivisionError(), 10.0).run()

    assert len(pauses) == 2
    assert pauses[0] >= 4.0
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info


async def test_stopping_the_duties_stops_them_all(registry: Registry) -> None:
    async with open_house(registry, is_started=False) as house:
        duties = Duties(house.runtime)
        duties.start()
        await eventually(lambda: {"beats", "promote_due", "prune"} <= set(house.store.calls))

        await duties.stop()

        calls = house.store.calls.total()
        await asyncio.wait_for(duties.stop(), 1)
        assert house.store.calls.total() == calls


async def test_a_worker_that_dies_is_found_and_another_one_finishes_its_job(registry: Registry, door: Door) -> None:
    """The whole house in real time: within a lease and two sweeps."""

    @registry.job("WAIT")
    def wait(payload: dict[str, Any]) -> str:
        door.wait()
        return "done"

    settings = {"TREADLE_LEASE_SECONDS": "1", "TREADLE_SWEEP_SECONDS": "0.2"}
    async with open_house(registry, settings) as house:
        duties = Duties(house.runtime)
        duties.start()
        job_id = await house.submit("WAIT")
        await eventually(lambda: door.entered)
        died_at = house.runtime.clock.rising()
        dead = house.worker
        assert dead._beating is not None
        dead._beating.cancel()
        house.worker = Worker(house.runtime, "test")
        await house.start()

        await house.until(job_id, Status.RETRYING, Status.QUEUED, Status.PROCESSING)
        await eventually(lambda: len(door.entered) == 2)
        recovered_after = house.runtime.clock.rising() - died_at
        door.open()
        job = await house.until(job_id, Status.COMPLETED)
        await dead.stop(0)
        await duties.stop()

        assert (job.attempt, job.crashes, job.failures, job.result) == (2, 1, 0, b'"done"')
        assert [lease.id for lease in await house.leases()] == [house.worker.lease.worker_id]
        assert 0.8 <= recovered_after <= 1 + 2 * 0.2 + 5  # the rest is for a busy machine
