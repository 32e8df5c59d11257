"""The commands as a person meets them: start, stop, wrong settings, smoke."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.flow.conftest import NewStack
from tests.flow.stack import SOURCE
from tests.servers.ports import free_port_settings
from tests.waiting import eventually_blocking


def treadle(*arguments: str, cwd: Path, settings: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd), "PYTHONPATH": SOURCE}  # noqa: TID251
    environment |= settings or {}
    command = [sys.executable, "-m", "treadle", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_dev_prints_its_addresses_and_stops_cleanly(new_stack: NewStack, by: signal.Signals) -> None:
    stack = new_stack()
    process = stack.start("dev")
    eventually_blocking(lambda: stack.mail_url in stack.logs() and stack.url in stack.logs())
    job_id = stack.submit("CSV_EXPORT", {"data": [{"a": 1}]})
    assert stack.finish(job_id)["status"] == "completed"

    assert stack.stop(process, by=by) == 0
    assert "Traceback" not in stack.logs()


def test_a_stack_that_is_started_again_still_has_its_jobs(new_stack: NewStack) -> None:
    stack = new_stack()
    process = stack.start("dev")
    job_id = stack.submit("CSV_EXPORT", {"data": [{"a": 1}]})
    done = stack.finish(job_id)
    waiting = stack.submit("LEDGER", {}, delaySeconds=3600)
    stack.stop(process)

    stack.start("dev")

    assert stack.job(job_id) == done
    assert stack.job(waiting)["status"] == "scheduled"


def test_smoke_passes_on_a_stack_of_its_own(tmp_path: Path) -> None:
    done = treadle("smoke", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "smoke test passed" in done.stdout


def test_smoke_passes_on_a_running_stack_and_says_what_is_wrong_with_a_broken_one(new_stack: NewStack) -> None:
    stack = new_stack()
    process = stack.start("dev")
    where = ("--url", stack.url, "--mail-url", stack.mail_url, "--output", str(stack.output))
    done = treadle("smoke", *where, cwd=stack.folder)
    assert done.returncode == 0, done.stdout + done.stderr

    stack.stop(process)
    done = treadle("smoke", *where, cwd=stack.folder)
    assert done.returncode == 1
    assert "FAILED health" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


WRONG = [
    ({"API_PORT": "abc", "TREADLE_LEASE_SECONDS": "-1"}, ["API_PORT='abc'", "TREADLE_LEASE_SECONDS"]),
    ({"ADMIN_USER": "admin"}, ["ADMIN_PASS is not set"]),
    ({"TREADLE_HOST": "0.0.0.0"}, ["TREADLE_API_KEYS", "ADMIN_USER"]),
    ({"TREADLE_APP": "no_such_module:app"}, ["no module no_such_module"]),
    ({"TREADLE_FAILPOINTS": "worker.before_claim=kill9"}, ["TREADLE_TESTING=1"]),
    ({"DATABASE_URL": "mysql://user:hunter2@localhost/jobs_db"}, ["DATABASE_URL", "sqlite:///PATH"]),
    ({"TREADLE_OUTPUT_DIR": "/proc/no/such"}, ["TREADLE_OUTPUT_DIR=/proc/no/such"]),
    (
        {"MAIL_HOST": "mail.example.com", "TREADLE_MAIL_USERNAME": "u", "TREADLE_MAIL_PASSWORD": "hunter2"},
        ["TREADLE_MAIL_SECURITY", "in clear"],
    ),
    ({"TREADLE_TYPO": "1"}, ["TREADLE_TYPO: no such setting"]),
]


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("import app_of_mine\nimport no_such_thing\n", ["No module named 'no_such_thing'", "shop.py line 2"]),
        ("import app_of_mine\napp_of_mine.make()\n", ["KeyError: 'price'", "shop.py line 2", "app_of_mine.py line 2"]),
        ("def app(:\n", ["SyntaxError: invalid syntax", "shop.py, line 1"]),
    ],
    ids=["another module missing", "an error deeper down", "syntax"],
)
def test_an_app_that_cannot_be_imported_is_told_with_its_own_lines(
    tmp_path: Path, module: str, words: list[str]
) -> None:
    (tmp_path / "app_of_mine.py").write_text("def make():\n    return {}['price']\n")
    (tmp_path / "shop.py").write_text(module)
    done = treadle("worker", cwd=tmp_path, settings={"TREADLE_APP": "shop:app"})
    assert done.returncode == 78, done.stdout + done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith("treadle: TREADLE_APP=shop:app: its import failed: ")
    assert all(word in line for word in words), line
    assert "importlib" not in line


@pytest.mark.parametrize(("settings", "words"), WRONG)
def test_wrong_settings_are_told_in_one_line_each_with_exit_78(
    tmp_path: Path, settings: dict[str, str], words: list[str]
) -> None:
    done = treadle("dev", cwd=tmp_path, settings={**free_port_settings(), **settings})
    assert done.returncode == 78, done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert all(line.startswith("treadle: ") for line in lines), done.stderr
    for word in words:
        assert word in done.stderr


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = treadle("api", cwd=tmp_path, settings={"API_PORT": str(port)})
    assert done.returncode == 78
    assert f"API_PORT={port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "treadle.db").write_bytes(b"not a database, but dear to somebody" * 100)
    before = (tmp_path / "data" / "treadle.db").read_bytes()
    done = treadle("migrate", cwd=tmp_path)
    assert done.returncode == 78
    assert "treadle.db" in done.stderr
    assert (tmp_path / "data" / "treadle.db").read_bytes() == before


def test_migrate_and_settings_and_version_and_usage(tmp_path: Path) -> None:
    assert treadle("migrate", cwd=tmp_path).returncode == 0
    assert treadle("migrate", cwd=tmp_path).returncode == 0
    listed = treadle("settings", cwd=tmp_path, settings={"ADMIN_USER": "admin", "ADMIN_PASS": "canary-4711"})
    assert listed.returncode == 0
    assert "TREADLE_LEASE_SECONDS" in listed.stdout
    assert "canary-4711" not in listed.stdout + listed.stderr
    assert treadle("--version", cwd=tmp_path).stdout.startswith("treadle ")
    assert treadle("no-such-command", cwd=tmp_path).returncode == 2


def test_secrets_reach_no_log(new_stack: NewStack) -> None:
    secrets = {
        "ADMIN_USER": "admin",
        "ADMIN_PASS": "canary-password-1",
        "TREADLE_API_KEYS": "tk_canary_key_0123456789",
        "TREADLE_MAIL_USERNAME": "user",
        "TREADLE_MAIL_PASSWORD": "canary-password-2",
        "TREADLE_LOG_LEVEL": "debug",
    }
    stack = new_stack(secrets)
    stack.start("dev")
    headers = {"Authorization": "Bearer tk_canary_key_0123456789"}
    payload = {"to": "ada@example.com", "subject": "s", "body": "canary-body-3"}
    answer = stack.client.post("/jobs", json={"type": "EMAIL_SEND", "payload": payload}, headers=headers)
    assert answer.status_code == 201
    job_id = answer.json()["jobId"]
    stack.client.get(f"/jobs/{job_id}", params={"wait": "10"}, headers=headers)
    assert stack.client.get("/admin/jobs", auth=("admin", "canary-password-1")).status_code == 200
    assert stack.client.get("/admin/jobs", auth=("admin", "wrong-canary-4")).status_code == 401
    assert "canary" not in stack.logs()


def test_log_lines_carry_job_type_attempt_and_worker(new_stack: NewStack) -> None:
    stack = new_stack({"TREADLE_RETRY_BASE_SECONDS": "0.02"})
    stack.start("api")
    stack.start("worker")
    job_id = stack.submit("EMAIL_SEND", {"to": "ada@example.com", "subject": "s", "body": "b"})
    stack.finish(job_id)
    lines = [line for line in stack.log_lines() if line.get("job") == job_id]
    assert {line["attempt"] for line in lines} == {1, 2, 3}
    assert all(line["type"] == "EMAIL_SEND" and line["worker"] and line["at"] for line in lines)
