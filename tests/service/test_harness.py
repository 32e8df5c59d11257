"""``treadle.testing.Harness`` keeps its word to users' tests, in tests with a loop and without."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from treadle import InvalidInput, Job, NotFound, Park, Retry, Snooze, Status, Treadle, Unavailable
from treadle.service.promote import BATCH
from treadle.testing import Harness


class Order(msgspec.Struct):
    number: int
    fails: int = 0


app = Treadle()
hooks: list[str] = []


@app.on_start
async def begin() -> None:
    hooks.append("start")


@app.on_stop
async def end() -> None:
    hooks.append("stop")


@app.job("SHIP", queue="goods", retry=Retry(attempts=3, base_seconds=60))
async def ship(payload: Order, job: Job) -> dict[str, int]:
    if job.attempt <= payload.fails:
        raise ValueError("no lorry")
    await job.checkpoint({"seen": job.attempt})
    job.progress(1, 1, "shipped")
    await app.submit("TELL", {"number": payload.number}, priority="high")
    return {"attempt": job.attempt}


@app.job("TELL")
def tell(payload: dict[str, Any], job: Job) -> str:
    with job.artifact("told.txt", "text/plain") as file:
        file.write(b"told")
    if payload.get("again"):
        app.submit_sync("TELL", payload)
    return str(payload["number"])


@app.job("LATER")
def later(payload: dict[str, Any], job: Job) -> None:
    if job.attempt == 1:
        raise Snooze(3600)
    raise Park("a person is to look")


@pytest.fixture
def harness() -> Iterator[Harness]:
    with Harness(app) as harness:
        yield harness


def test_what_is_ready_runs_and_what_that_submits(harness: Harness) -> None:
    job_id = harness.submit("SHIP", Order(1))
    assert harness.job(job_id).status is Status.QUEUED

    assert harness.drain() == 2

    job = harness.job(job_id)
    assert (job.status, job.result, job.payload) == (Status.COMPLETED, {"attempt": 1}, {"number": 1, "fails": 0})
    assert job.progress is not None
    assert job.progress.message == "shipped"
    [told] = harness.jobs(type="TELL", status="completed")
    assert harness.file(told.id) == b"told"
    assert harness.drain() == 0


def test_nothing_that_waits_runs_before_its_time(harness: Harness) -> None:
    delayed = harness.submit("TELL", {"number": 1}, delay_seconds=10)
    failing = harness.submit("SHIP", Order(2, fails=2))
    assert harness.drain() == 1
    assert (harness.job(delayed).status, harness.job(failing).status) == (Status.SCHEDULED, Status.RETRYING)

    assert harness.advance(9.999) == 0
    assert harness.advance(0.001) == 1
    assert harness.drain() == 1
    assert harness.advance(timedelta(minutes=1)) == 1
    assert harness.drain() == 1
    assert harness.advance(timedelta(minutes=2)) == 1
    assert harness.drain() == 2
    job = harness.job(failing)
    assert (job.status, job.attempts, job.failures) == (Status.COMPLETED, 3, 2)
    assert [error.message for error in job.errors] == ["no lorry", "no lorry"]
    assert job.finished_at == harness.clock.now()


def test_snoozing_parking_and_failing_for_good_are_seen(harness: Harness) -> None:
    snoozed = harness.submit("LATER", {})
    spent = harness.submit("SHIP", Order(1, fails=9), max_attempts=1)
    harness.drain()
    assert (harness.job(snoozed).status, harness.job(spent).status) == (Status.SCHEDULED, Status.FAILED)
    harness.advance(3600)
    harness.drain()
    assert (harness.job(snoozed).status, harness.job(snoozed).error) == (Status.DEAD, "a person is to look")


def test_built_in_types_run_as_in_production(harness: Harness) -> None:
    job_id = harness.submit("CSV_EXPORT", {"data": [{"n": 1}]})
    harness.drain()
    assert harness.file(job_id) == b"n\r\n1\r\n"
    assert [path.name for path in harness.output.iterdir()] == [f"{job_id}.csv"]


def test_bad_input_and_outages_are_what_they_are(harness: Harness) -> None:
    with pytest.raises(InvalidInput):
        harness.submit("SHIP", {"number": "x"})
    harness.store.refuse("insert", times=1)
    with pytest.raises(Unavailable):
        app.submit_sync("SHIP", Order(1))
    with pytest.raises(NotFound):
        harness.job("00000000-0000-7000-8000-000000000000")
    with pytest.raises(NotFound):
        harness.file(harness.submit("SHIP", Order(1)))
    with pytest.raises(ValueError, match="back"):
        harness.advance(-1)
    harness.assert_submitted("SHIP", count=1)


def test_jobs_that_never_end_are_told(harness: Harness) -> None:
    harness.submit("TELL", {"number": 1, "again": True})
    with pytest.raises(AssertionError, match="still ready after 20"):
        harness.drain(max_attempts=20)


def test_what_was_submitted_is_asserted_by_payload_queue_priority_and_count(harness: Harness) -> None:
    first = app.submit_sync("SHIP", Order(1), idempotency_key="k")
    assert app.submit_sync("SHIP", Order(1), idempotency_key="k") == first
    second = app.submit_sync("SHIP", Order(2), priority="high")
    harness.drain()

    assert harness.assert_submitted("SHIP", count=2) == [first, second]
    assert harness.assert_submitted("SHIP", payload=Order(2), queue="goods", priority="high") == [second]
    assert harness.assert_submitted("SHIP", payload={"number": 1, "fails": 0}) == [first]
    assert harness.assert_submitted("TELL", payload=lambda told: told["number"] > 1, count=1)
    harness.assert_submitted("LATER", count=0)
    for wrong in (
        {"payload": Order(3)},
        {"payload": {"number": 1}},
        {"queue": "default"},
        {"priority": "high", "count": 2},
        {"count": 0},
    ):
        with pytest.raises(AssertionError, match=r"SHIP that fits.*\n  goods, default: \{\"number\":1"):
            harness.assert_submitted("SHIP", **wrong)
    with pytest.raises(AssertionError, match="none of this type"):
        harness.assert_submitted("NONE")
    with pytest.raises(ValueError, match="no job can have this payload"):
        harness.assert_submitted("SHIP", payload=float("nan"))


async def test_a_test_with_a_loop_may_use_it_all(harness: Harness) -> None:
    job_id = await app.submit("SHIP", Order(1))
    assert harness.drain() == 2
    assert harness.job(job_id).status is Status.COMPLETED


def test_harnesses_know_nothing_of_each_other_and_hooks_run_around_each() -> None:
    hooks.clear()
    with Harness(app) as first, Harness(app) as second:
        second.submit("TELL", {"number": 1})
        assert (len(first.jobs()), len(second.jobs())) == (0, 1)
        folder = second.output
    assert hooks == ["start", "start", "stop", "stop"]
    assert not folder.exists()


USER_TEST = """
import pytest
from treadle import Treadle

app = Treadle()

@app.job("GREET")
def greet(payload: dict) -> str:
    return "Hello " + payload["name"]

@pytest.fixture
def treadle_app():
    return app

def test_greeting(treadle_harness):
    job_id = treadle_harness.submit("GREET", {"name": "Ada"})
    treadle_harness.drain()
    assert treadle_harness.job(job_id).result == "Hello Ada"
"""


def test_the_plugin_gives_users_the_fixture(tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(USER_TEST)
    (tmp_path / "test_without.py").write_text("def test_it(treadle_harness): ...\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "treadle.testing.plugin"]
    environment = {"PYTHONPATH": ":".join(sys.path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    run = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 60}
    done = subprocess.run([*command, "test_user.py"], **run)  # type: ignore[call-overload]
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    done = subprocess.run([*command, "test_without.py"], **run)  # type: ignore[call-overload]
    assert "write a fixture treadle_app" in done.stdout + done.stderr


def test_everything_that_is_due_becomes_ready_at_once(harness: Harness) -> None:
    for number in range(BATCH + 1):
        harness.submit("TELL", {"number": number}, delay_seconds=10)
    assert harness.advance(10) == BATCH + 1
