"""``treadle api`` from several processes: one port, whatever happens to one of them or to the parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections import defaultdict
from pathlib import Path

import httpx
import pytest

from tests.api.test_metrics import of, samples
from tests.flow.conftest import NewStack
from tests.flow.stack import Stack, children
from tests.flow.test_commands import treadle
from tests.flow.test_metrics import Told, scrape
from tests.waiting import eventually_blocking

TWO = {"TREADLE_API_PROCESSES": "2"}
pytestmark = pytest.mark.only_on("postgres", reason="SQLite refuses it, and Redis changes nothing about it")


@pytest.fixture
def stack(new_stack: NewStack) -> Stack:
    """A running API of two processes."""
    stack = new_stack(TWO)
    stack.start("api")
    eventually_blocking(lambda: "Treadle is up" in stack.logs())
    return stack


def answerer(stack: Stack) -> str:
    """Which process answers a new connection: the front of a request's id is its process's own."""
    try:
        return httpx.get(f"{stack.url}/live", timeout=30).headers["x-request-id"][:8]
    except httpx.TransportError:  # it died with this connection in its hands
        return ""


def answerers(stack: Stack, *, count: int) -> set[str]:
    """So many processes that answer, once they have."""
    found: set[str] = set()

    def are_all() -> bool:
        found.add(answerer(stack))
        found.discard("")
        return len(found) >= count

    eventually_blocking(are_all)
    return found


def is_alive(pid: int) -> bool:
    """Whether it runs; the dead whom nobody has fetched yet do not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_all_of_them_answer_and_one_database_has_what_they_took(stack: Stack) -> None:
    answerers(stack, count=2)
    ids = set()
    for _ in range(20):
        with stack.new_client() as client:  # a connection of its own
            ids.add(client.post("/jobs", json={"type": "CSV_EXPORT", "payload": {"data": []}}).json()["jobId"])

    assert len(ids) == 20
    assert all(stack.job(job_id)["status"] == "queued" for job_id in ids)
    assert stack.logs().count("Treadle is up: api in 2 processes") == 1
    assert stack.logs().count("health ") == 1


def test_one_that_is_killed_is_started_again_while_the_other_serves(stack: Stack) -> None:
    [parent] = stack.processes
    before = answerers(stack, count=2)
    [killed, other] = children(parent.pid)

    os.kill(killed, signal.SIGKILL)

    eventually_blocking(lambda: len(children(parent.pid)) == 2 and killed not in children(parent.pid))
    assert other in children(parent.pid)
    eventually_blocking(lambda: answerer(stack) not in before | {""})
    [again] = set(children(parent.pid)) - {other}
    os.kill(again, signal.SIGTERM)  # in order, and yet nobody asked the parent
    eventually_blocking(lambda: len(children(parent.pid)) == 2 and again not in children(parent.pid))
    assert [line["message"] for line in stack.log_lines() if line["level"] == "error"] == [
        "a process of the API was killed by SIGKILL; another is started in 0.1 s",
        "a process of the API ended with exit code 0; another is started in 0.2 s",
    ]


def test_a_scrape_of_any_of_them_is_told_what_all_did_even_those_that_died(stack: Stack) -> None:
    [parent] = stack.processes
    submitted = of("treadle_jobs_total", type="CSV_EXPORT", queue="default", outcome="submitted")
    answered = of("treadle_http_requests_total", method="POST", route="/jobs", status="201")
    took: defaultdict[str, int] = defaultdict(int)
    while len(took) < 2 or sum(took.values()) < 20:
        answer = httpx.post(f"{stack.url}/jobs", json={"type": "CSV_EXPORT", "payload": {"data": []}}, timeout=30)
        took[answer.headers["x-request-id"][:8]] += 1
    count = sum(took.values())

    # Whoever is asked knows its own at once and the other's a second later.
    for asked in took:
        eventually_blocking(lambda asked=asked: scrape_of(stack, asked).get(submitted) == count)  # type: ignore[misc]
    told = scrape(stack.url)
    assert told[answered] == count
    assert told[of("treadle_batch_items_sum", verb="submit")] == count
    assert told[of("treadle_batch_items_bucket", verb="submit", le="+Inf")] <= count
    assert told[of("treadle_store_up")] == 1, "a gauge speaks of what they share"
    assert told[of("treadle_stored_jobs", status="queued")] == count
    pids = [parent.pid, *children(parent.pid)]
    assert told[of("process_open_fds")] >= sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids) / 2
    assert told[of("process_resident_memory_bytes")] > 50_000_000

    os.kill(children(parent.pid)[0], signal.SIGKILL)
    eventually_blocking(lambda: answerer(stack) not in {*took, ""})
    for asked in answerers(stack, count=2):
        later = scrape_of(stack, asked)
        assert later[submitted] == count
        assert later[of("process_cpu_seconds_total")] >= told[of("process_cpu_seconds_total")]


def scrape_of(stack: Stack, asked: str) -> Told:
    """What this process tells; a new connection leads to any of them."""
    found: Told = {}

    def is_asked() -> bool:
        answer = httpx.get(f"{stack.url}/metrics", timeout=30)
        found.update(samples(answer.text))
        return answer.headers["x-request-id"].startswith(asked)

    eventually_blocking(is_asked)
    return found


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_parent_ends_all_in_order(stack: Stack, by: signal.Signals) -> None:
    [parent] = stack.processes
    both = children(parent.pid)
    waiting = stack.submit("LEDGER", {}, delaySeconds=3600)
    with stack.new_client() as client, client.stream("GET", "/admin/ui/live") as stream:
        assert stream.status_code == 200
        assert stack.stop(parent, by=by) == 0

    assert waiting in stack.rows()
    assert not any(is_alive(pid) for pid in both)
    assert [line["message"] for line in stack.log_lines() if line["level"] != "info"] == []


def test_a_signal_to_the_whole_group_is_one_signal(stack: Stack) -> None:
    [parent] = stack.processes

    for pid in [*children(parent.pid), parent.pid]:  # as systemd and a terminal send it
        os.kill(pid, signal.SIGTERM)

    assert parent.wait(timeout=30) == 0
    assert "second signal" not in stack.logs()


def test_a_second_signal_ends_all_at_once(stack: Stack) -> None:
    [parent] = stack.processes
    both = children(parent.pid)
    os.kill(both[0], signal.SIGSTOP)  # it finishes nothing any more
    os.kill(parent.pid, signal.SIGTERM)
    eventually_blocking(lambda: not is_alive(both[1]))
    assert parent.poll() is None

    assert stack.stop(parent) == -signal.SIGTERM

    eventually_blocking(lambda: not any(is_alive(pid) for pid in both))
    assert "stopped at once, on the second signal" in stack.logs()


def test_the_parents_death_is_the_death_of_all(stack: Stack) -> None:
    [parent] = stack.processes
    both = children(parent.pid)

    assert stack.stop(parent, by=signal.SIGKILL) == -signal.SIGKILL

    eventually_blocking(lambda: not any(is_alive(pid) for pid in both))
    stack.start("api")  # nobody holds the port


def test_a_port_in_use_is_said_once_before_anything_starts(new_stack: NewStack) -> None:
    stack = new_stack(TWO)
    with socket.create_server(("127.0.0.1", stack.api_port), reuse_port=True):
        done = treadle("api", cwd=stack.folder, settings=stack.environment())

    assert done.returncode == 78
    [line] = done.stderr.splitlines()
    assert f"API_PORT={stack.api_port}: something listens on" in line


def test_a_second_api_is_refused_the_port_of_the_first(stack: Stack) -> None:
    for settings in ({}, {"TREADLE_API_PROCESSES": ""}):
        done = treadle("api", cwd=stack.folder, settings=stack.environment(settings))
        assert done.returncode == 78
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"TREADLE_APP": "no_such_module:app"}, "no module no_such_module"),
        ({"DATABASE_URL": "{database}_nowhere"}, "_nowhere"),
        ({"DATABASE_URL": ""}, "TREADLE_API_PROCESSES=2"),
        ({"TREADLE_API_PROCESSES": "65"}, "a whole number from 1 to 64"),
    ],
)
def test_what_is_wrong_at_start_is_said_once_and_ends_all(
    new_stack: NewStack, settings: dict[str, str], words: str
) -> None:
    stack = new_stack(TWO)
    told = {name: value.format(database=stack.settings["DATABASE_URL"]) for name, value in settings.items()}

    done: subprocess.CompletedProcess[str] = treadle("api", cwd=stack.folder, settings=stack.environment(told))

    assert done.returncode == 78, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("treadle: ")]
    assert len(said) == 1, done.stderr
    assert words in said[0]
    assert "Treadle is up" not in done.stderr
