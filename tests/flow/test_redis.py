"""An API and two workers with a Redis that is flushed, killed, paused or absent: all jobs accepted, each done once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.flow.conftest import NewStack
from tests.flow.stack import Stack
from tests.servers import running
from tests.servers.redis import Redis, machine_redis, wheel_valkey
from tests.waiting import eventually_blocking

pytestmark = [
    pytest.mark.flow,
    pytest.mark.only_on("postgres", reason="brings a Redis of its own, which it may break"),
]

JOBS = 150
PASSWORD = "canary-4711"


@pytest.fixture(params=[machine_redis, wheel_valkey], ids=["redis", "valkey"])
def server(request: pytest.FixtureRequest) -> Iterator[Redis]:
    """The test's own, not started yet."""
    server = Redis(request.param(), running.place(), password=PASSWORD)
    yield server
    server.program.kill()


@pytest.fixture
def stack(new_stack: NewStack, server: Redis) -> Stack:
    """Nothing of it runs yet."""
    return new_stack({"REDIS_URL": server.address, "TREADLE_CONCURRENCY": "4"})


def health(stack: Stack) -> dict[str, Any]:
    answer = stack.client.get("/health")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def start_all(stack: Stack) -> None:
    stack.start("api")
    for _ in range(2):
        stack.start("worker")


def assert_done_once(stack: Stack, ids: list[str]) -> None:
    for job_id in ids:
        job = stack.finish(job_id)
        assert (job["status"], job["attempts"]) == ("completed", 1), (job, stack.logs())
    assert stack.starts() == {job_id: [1] for job_id in ids}
    assert all(process.poll() is None for process in stack.processes), stack.logs()
    assert PASSWORD not in stack.logs()


def killed_or_started(server: Redis, turn: int) -> None:
    server.program.kill() if turn % 2 == 0 else server.start()


def paused_or_resumed(server: Redis, turn: int) -> None:
    server.program.pause() if turn % 2 == 0 else server.program.resume()


FAULTS: dict[str, Callable[[Redis, int], None]] = {
    "flushed": lambda server, turn: server.flush(),
    "killed": killed_or_started,
    "paused": paused_or_resumed,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_happens_to_redis_all_jobs_are_done_once(stack: Stack, server: Redis, fault: str) -> None:
    server.start()
    start_all(stack)
    turns = itertools.count()
    ids: list[str] = []
    for number in range(JOBS):
        ids.append(stack.submit("LEDGER", {"seconds": 0.01}, priority=("high", "default")[number % 2]))
        if number % (JOBS // 10) == 0:
            FAULTS[fault](server, next(turns))

    assert_done_once(stack, ids)

    # The number of faults is even: it is there again, and found by everybody.
    eventually_blocking(lambda: health(stack)["status"] == "ok")
    with server.client() as client:
        eventually_blocking(lambda: client.info("clients")["blocked_clients"] == 2)


def test_without_redis_for_the_whole_run_all_goes_on_and_says_that_it_is_degraded(stack: Stack, server: Redis) -> None:
    start_all(stack)
    assert health(stack) == {
        "status": "degraded",
        "checks": {"store": "ok", "output": "ok", "hints": "unavailable"},
    }

    assert_done_once(stack, [stack.submit("LEDGER", {}) for _ in range(JOBS)])

    told = [line for line in stack.log_lines() if "Redis" in line["message"]]
    assert len(told) == 3, "each process says it once"
    assert {line["level"] for line in told} == {"warning"}

    server.start()
    eventually_blocking(lambda: health(stack)["status"] == "ok")


def test_while_no_worker_runs_nobody_multiplies_the_hints(stack: Stack, server: Redis) -> None:
    server.start()
    stack.start("api")
    ids = [stack.submit("LEDGER", {}) for _ in range(50)]
    with server.client() as client:
        eventually_blocking(lambda: client.llen("queue:default") == 50)
        later = stack.submit("LEDGER", {}, delaySeconds=2.5)  # longer than any interval of this stack
        eventually_blocking(lambda: client.llen("queue:default") == 51)
        assert [entry.decode() for entry in client.lrange("queue:default", 0, -1)] == [*ids, later]

    for _ in range(2):
        stack.start("worker")

    assert_done_once(stack, [*ids, later])
