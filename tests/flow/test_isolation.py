"""One job that takes its process down, among many that do not."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.flow.conftest import NewStack
from tests.flow.stack import Stack, children
from tests.waiting import eventually_blocking


def final_jobs(stack: Stack, ids: list[str]) -> list[dict[str, Any]]:
    return [stack.finish(job_id, within_seconds=90) for job_id in ids]


def test_an_isolated_killer_ends_dead_and_each_of_63_neighbours_ran_once(new_stack: NewStack) -> None:
    stack = new_stack({"TREADLE_CONCURRENCY": "64"})
    stack.start("api")
    worker = stack.start("worker")
    neighbours = [stack.submit("LEDGER", {"seconds": 5}) for _ in range(63)]
    eventually_blocking(lambda: len(stack.starts()) == 63)

    killer = stack.submit("SEGFAULT", {})
    dead = stack.finish(killer)
    jobs = final_jobs(stack, neighbours)

    assert (dead["status"], dead["crashes"], dead["failures"]) == ("dead", 3, 0)
    assert [error["kind"] for error in dead["errors"]] == ["crash", "crash", "poison"]
    assert "SIGSEGV" in dead["error"]
    assert [(job["status"], job["attempts"]) for job in jobs] == [("completed", 1)] * 63
    starts = stack.starts()
    assert all(starts[job["id"]] == [1] for job in jobs)
    assert worker.poll() is None


@pytest.mark.only_on("sqlite", reason="what a worker does with a job that has crashed is the same on every rung")
def test_a_killer_nobody_foresaw_takes_its_neighbours_down_once_and_never_again(new_stack: NewStack) -> None:
    stack = new_stack({"TREADLE_CONCURRENCY": "8"})
    stack.start("api")
    first = stack.start("worker")
    neighbours = [stack.submit("LEDGER", {"seconds": 1}) for _ in range(7)]
    eventually_blocking(lambda: len(stack.starts()) == 7)
    killer = stack.submit("ROUGH_SEGFAULT", {})
    assert first.wait(timeout=30) == -signal.SIGSEGV

    second = stack.start("worker")
    dead = stack.finish(killer)
    jobs = final_jobs(stack, neighbours)

    assert (dead["status"], dead["attempts"]) == ("dead", 3)
    # What ran beside it is explained: one crash, and a second start in a process of its own.
    assert [(job["status"], job["attempts"], job["crashes"]) for job in jobs] == [("completed", 2, 1)] * 7
    assert second.poll() is None


@pytest.mark.only_on("sqlite", reason="children belong to their worker, whatever the store is")
def test_a_stopped_worker_leaves_no_child_behind(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.start("api")
    worker = stack.start("worker")
    eventually_blocking(lambda: children(worker.pid))
    warm = children(worker.pid)

    stack.stop(worker)

    assert not [pid for pid in warm if children(pid) or _is_alive(pid)]


@pytest.mark.only_on("sqlite", reason="children belong to their worker, whatever the store is")
def test_a_killed_worker_takes_its_children_with_it(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.start("api")
    worker = stack.start("worker")
    eventually_blocking(lambda: children(worker.pid))
    warm = children(worker.pid)
    worker.kill()
    worker.wait()

    eventually_blocking(lambda: not [pid for pid in warm if _is_alive(pid)])


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
