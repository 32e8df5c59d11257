"""``treadle bench`` as a person meets it: on an installation of his own, which it leaves as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.flow.conftest import NewStack
from tests.flow.stack import Stack, children
from tests.flow.test_commands import treadle
from tests.servers import running
from tests.servers.ports import free_ports
from tests.waiting import eventually_blocking

KEY = "a-key-of-sixteen-letters"
two_rungs = pytest.mark.only_on("sqlite", "postgres+redis", reason="each run takes seconds; these two differ in all")


def bench(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return treadle("bench", *arguments, cwd=stack.folder, settings=where(stack))


def where(stack: Stack) -> dict[str, str]:
    redis = stack.settings.get("REDIS_URL")
    return {**stack.where, **({"REDIS_URL": redis} if redis else {})}


def phases(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {phase["name"]: phase for phase in report["phases"]}


@two_rungs
def test_it_measures_beside_a_running_installation_and_leaves_it_as_it_was(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.start("dev")
    stack.submit("LEDGER", {}, delaySeconds=3600)
    before = stack.rows()

    done = bench(stack, "--jobs", "300", "--slots", "7", "--json")

    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    found = phases(report)
    assert list(found) == ["submit 1", "submit 64", "bulk", "drain", "idle latency"]
    assert found["submit 1"]["concurrency"] == 1
    assert found["submit 64"]["jobs"] == 300
    assert found["bulk"]["jobs"] == 300
    # Those that warm the server up are drained too.
    assert found["drain"]["jobs"] >= 300 + found["submit 1"]["jobs"] + found["submit 64"]["jobs"]
    for name in ("submit 1", "submit 64", "idle latency"):
        assert 0 < found[name]["p50Ms"] <= found[name]["p99Ms"]
        assert found[name]["ownCpu"] > 0
    for name in ("submit 1", "submit 64", "bulk", "drain"):
        assert found[name]["jobsPerSecond"] == pytest.approx(found[name]["jobs"] / found[name]["seconds"], rel=0.01)
    facts = report["facts"]
    assert facts["slots"] == 7
    assert facts["cpus"] >= 1
    if "DATABASE_URL" in stack.settings:
        assert facts["database"].startswith("PostgreSQL ")
        assert facts["durability"] == {"fsync": "on", "synchronous_commit": "on"}
        assert facts["redis"].startswith("Redis 7")
        assert facts["databaseRoundTripMs"] > 0
        assert facts["redisRoundTripMs"] > 0
        assert not running.redis().client().keys("*bench*")
    else:
        assert facts["database"].startswith("SQLite 3")
        assert facts["durability"] == {"journal_mode": "WAL", "synchronous": "FULL"}
        assert facts["flushMs"] > 0
    assert stack.rows() == before
    assert stack.finish(stack.submit("LEDGER", {}))["status"] == "completed"


def test_a_folder_without_a_database_is_measured_and_left_empty(tmp_path: Path) -> None:
    done = treadle("bench", "--jobs", "50", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("p99 ms", "jobs/s", "drain", "synchronous FULL", "CPU", "bench's own"):
        assert words in done.stdout
    assert list(tmp_path.iterdir()) == []


@two_rungs
def test_it_refuses_a_queue_that_holds_jobs_of_others(new_stack: NewStack) -> None:
    stack = new_stack({"TREADLE_QUEUES": "bench"})
    stack.start("api")
    job_id = stack.submit("LEDGER", {}, queue="bench")

    done = bench(stack, "--jobs", "50")

    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("treadle: the queue bench holds jobs of the type LEDGER")
    assert stack.rows() == {job_id}
    assert stack.job(job_id)["status"] == "queued"


@two_rungs
def test_it_waits_for_another_one_and_removes_what_a_killed_one_left(new_stack: NewStack) -> None:
    stack = new_stack({"TREADLE_APP": "treadle.cli.measure.noop:app"})
    stack.start("api")
    stack.submit("treadle.bench", {})
    kept = stack.submit("CSV_EXPORT", {"data": []})

    done = bench(stack, "--jobs", "50")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("treadle: another treadle bench works on this database, or was killed")
    assert len(stack.rows()) == 2

    minute = "interval '1 minute'" if "DATABASE_URL" in stack.settings else "60000000"
    stack.change(f"UPDATE jobs SET created_at = created_at - {minute}")
    done = bench(stack, "--jobs", "50")
    assert done.returncode == 0, done.stdout + done.stderr
    assert stack.rows() == {kept}
    assert stack.job(kept)["status"] == "queued"


@two_rungs
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle_it_takes_its_jobs_and_processes_with_it(new_stack: NewStack, by: signal.Signals) -> None:
    stack = new_stack()
    stack.start("api")
    environment = {"PATH": os.environ["PATH"], **stack.environment(where(stack))}  # noqa: TID251
    command = [sys.executable, "-m", "treadle", "bench", "--jobs", "30000"]
    process = subprocess.Popen(
        command, cwd=stack.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    eventually_blocking(lambda: len(stack.rows()) > 200, within_seconds=60)
    started = children(process.pid)

    process.send_signal(by)
    stdout, stderr = process.communicate(timeout=60)

    assert process.returncode == 1, stdout + stderr
    assert "Traceback" not in stderr
    assert stack.rows() == set()
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]


@pytest.mark.only_on("sqlite", reason="the server is asked over HTTP, whatever it stands on")
def test_a_running_server_is_measured_with_its_key_and_runs_nothing(new_stack: NewStack) -> None:
    stack = new_stack({"TREADLE_API_KEYS": KEY, "ADMIN_USER": "admin", "ADMIN_PASS": "canary-pass"})
    stack.start("dev")

    refused = treadle("bench", "--url", stack.url, "--jobs", "20", cwd=stack.folder)
    assert refused.returncode == 1
    [line] = refused.stderr.splitlines()
    assert line.startswith("treadle: ")
    assert "key" in line

    for settings in ({}, {"ADMIN_USER": "admin", "ADMIN_PASS": "canary-pass"}):
        done = treadle(
            "bench", "--url", stack.url, "--key", KEY, "--jobs", "120", "--json", cwd=stack.folder, settings=settings
        )
        assert done.returncode == 0, done.stdout + done.stderr
        report = json.loads(done.stdout)
        assert list(phases(report)) == ["submit 1", "submit 64", "bulk"]
        assert report["facts"]["serverRoundTripMs"] > 0
        left = stack.client.get("/admin/jobs", params={"limit": "200"}, auth=("admin", "canary-pass")).json()["jobs"]
        assert {job["status"] for job in left} == {"cancelled"}  # the second time they are deleted as well
        assert not list(stack.output.glob("*.csv"))
    assert len(stack.rows()) < 2 * (3 * 120)


@pytest.mark.only_on("sqlite", reason="the server is asked over HTTP, whatever it stands on")
def test_a_running_server_is_measured_with_a_type_of_its_own(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.start("dev")

    done = treadle("bench", "--url", stack.url, "--type", "LEDGER", "--payload", "{}", "--jobs", "30", cwd=stack.folder)
    assert done.returncode == 0, done.stdout + done.stderr
    eventually_blocking(lambda: set(stack.starts()) == stack.rows() and len(stack.rows()) >= 90, within_seconds=30)

    done = treadle("bench", "--url", stack.url, "--type", "NO_SUCH", "--jobs", "30", cwd=stack.folder)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "type: no process has told of a job type of this name" in line


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--jobs", "0"), 2, "--jobs"),
        (("--jobs", "many"), 2, "--jobs"),
        (("--slots", "0"), 2, "--slots"),
        (("--type", "LEDGER"), 2, "--url"),
        (("--key", "k"), 2, "--url"),
        (("--url", "http://127.0.0.1:1", "--slots", "3"), 2, "--slots"),
        (("--url", "http://127.0.0.1:1", "--payload", "{}"), 2, "--type"),
        (("--url", "http://127.0.0.1:1", "--type", "T", "--payload", "{"), 2, "--payload"),
        (("--url", "ftp://x"), 2, "--url"),
        (("--url", f"http://127.0.0.1:{free_ports(1)[0]}"), 69, "no connection to the server"),
    ],
)
def test_bad_options_and_an_unreachable_server_are_one_clear_line(
    tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = treadle("bench", *arguments, cwd=tmp_path)
    assert done.returncode == code, done.stdout + done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith("treadle: ")
    assert words in line


def test_a_database_that_does_not_answer_is_one_clear_line(tmp_path: Path) -> None:
    address = f"postgresql://u:hunter2@127.0.0.1:{free_ports(1)[0]}/d"
    done = treadle("bench", cwd=tmp_path, settings={"DATABASE_URL": address})
    assert done.returncode == 75, done.stdout + done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith("treadle: ")
    assert "hunter2" not in line
