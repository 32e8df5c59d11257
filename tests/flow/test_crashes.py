"""A worker is killed with SIGKILL at each stage: every job completes, every extra start is accounted for."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.flow.conftest import NewStack
from tests.flow.stack import Stack
from tests.waiting import eventually_blocking

JOBS = 12
TESTING = {"TREADLE_TESTING": "1", "TREADLE_CONCURRENCY": "4"}

# Where the kill lands, and whether an attempt had been claimed by then (so that a crash must be on record).
STAGES = [
    ("worker.before_claim", False),
    ("worker.after_claim", True),
    ("worker.before_handler", True),
    ("worker.after_handler", True),
    ("worker.before_settle", True),
    ("worker.after_settle", None),
]


def crashed_attempts(job: dict[str, Any]) -> set[int]:
    return {error["attempt"] for error in job["errors"] if error["kind"] == "crash"}


def assert_accounted_for(stack: Stack, ids: list[str]) -> list[dict[str, Any]]:
    """Every job completed; every attempt but the last one is a crash on record, and no attempt started twice."""
    jobs = [stack.finish(job_id) for job_id in ids]
    starts = stack.starts()
    for job in jobs:
        assert job["status"] == "completed", (job, stack.logs())
        assert crashed_attempts(job) == set(range(1, job["attempts"]))
        assert job["crashes"] == job["attempts"] - 1
        assert job["failures"] == 0
        started = starts[job["id"]]
        assert len(started) == len(set(started)), "one attempt ran twice"
        # An extra start replaces an attempt that is on record as killed.
        assert all(attempt == 1 or attempt - 1 in crashed_attempts(job) for attempt in started)
        assert job["attempts"] in started
    return jobs


@pytest.mark.parametrize(("failpoint", "was_claimed"), STAGES)
def test_a_kill_at_every_stage_loses_nothing(new_stack: NewStack, failpoint: str, was_claimed: bool | None) -> None:
    stack = new_stack()
    stack.start("api")
    victim = stack.start(
        "worker", settings={**TESTING, "TREADLE_FAILPOINTS": f"{failpoint}=kill9@{1 if was_claimed is False else 2}"}
    )
    ids = [stack.submit("LEDGER", {"seconds": 0.02}) for _ in range(JOBS)]

    assert victim.wait(timeout=30) == -signal.SIGKILL
    stack.start("worker", settings=TESTING)

    jobs = assert_accounted_for(stack, ids)
    if was_claimed is not None:
        assert any(job["attempts"] > 1 for job in jobs) == was_claimed


def test_a_handler_that_kills_its_worker_midway_is_run_again(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.start("api")
    victim = stack.start("worker", settings=TESTING)
    killer = stack.submit("LEDGER", {"killOnAttempt": 1})
    ids = [killer, *(stack.submit("LEDGER", {}) for _ in range(JOBS))]

    assert victim.wait(timeout=30) == -signal.SIGKILL
    stack.start("worker", settings=TESTING)

    assert_accounted_for(stack, ids)
    assert stack.starts()[killer] == [1, 2]


def test_the_third_crash_buries_a_poisonous_job_and_no_neighbour(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.start("api")
    poison = stack.submit("POISON", {})
    neighbours = [stack.submit("LEDGER", {}) for _ in range(6)]
    victim = stack.start("worker", settings=TESTING)
    assert victim.wait(timeout=30) == -signal.SIGKILL
    # With a crash behind it, it runs in a child process: it takes down that, and the worker no more.
    survivor = stack.start("worker", settings=TESTING)

    job = stack.finish(poison)
    assert survivor.poll() is None
    assert (job["status"], job["attempts"], job["crashes"], job["failures"]) == ("dead", 3, 3, 0)
    assert [error["kind"] for error in job["errors"]] == ["crash", "crash", "poison"]
    assert stack.starts()[poison] == [1, 2, 3]
    assert_accounted_for(stack, neighbours)


def test_a_worker_paused_past_its_lease_cannot_write_and_goes_on_under_a_new_identity(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.start("api")
    sleeper = stack.start("worker", settings={"TREADLE_CONCURRENCY": "1"})
    job_id = stack.submit("LEDGER", {"seconds": 1.0})
    eventually_blocking(lambda: stack.starts().get(job_id) == [1])
    sleeper.send_signal(signal.SIGSTOP)
    before = stack.client.get("/admin/workers").json()["workers"][0]["id"]

    stack.start("worker", settings={"TREADLE_CONCURRENCY": "1"})
    job = stack.finish(job_id)
    sleeper.send_signal(signal.SIGCONT)

    assert job["status"] == "completed"
    assert stack.starts()[job_id] == [1, 2]
    assert job["result"] == {"attempt": 2}
    eventually_blocking(lambda: len(stack.client.get("/admin/workers").json()["workers"]) == 2)
    now = {worker["id"] for worker in stack.client.get("/admin/workers").json()["workers"]}
    assert before not in now
    assert stack.job(job_id) == job, "the woken worker changed the row"
    again = stack.submit("LEDGER", {})
    assert stack.finish(again)["status"] == "completed"


def test_a_terminated_worker_gives_its_job_back_without_a_crash(new_stack: NewStack) -> None:
    stack = new_stack({"TREADLE_GRACE_SECONDS": "0.3"})
    stack.start("api")
    leaving = stack.start("worker")
    job_id = stack.submit("LEDGER", {"firstSeconds": 20})
    eventually_blocking(lambda: stack.starts().get(job_id) == [1])

    assert stack.stop(leaving) == 0
    assert stack.job(job_id)["status"] == "queued"
    stack.start("worker")

    job = stack.finish(job_id)
    assert (job["status"], job["attempts"], job["crashes"], job["failures"]) == ("completed", 2, 0, 0)
