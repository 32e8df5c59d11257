"""``treadle jobs`` as a person and a script meet it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.flow.stack import Stack, free_ports
from treadle.ids import new_job_id

KEY = "tk_0123456789abcdef"
LOGIN = {"ADMIN_USER": "admin", "ADMIN_PASS": "a password"}
ROWS = '{"data":[{"a":1.10}]}'


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = Stack(tmp_path_factory.mktemp("stack"), {"TREADLE_API_KEYS": f"{KEY},tk_another_0123456789", **LOGIN})
    try:
        running.start("dev")
        yield running
    finally:
        running.close()


class Shell:
    """Runs commands in an empty folder with the stack's settings."""

    def __init__(self, folder: Path, stack: Stack) -> None:
        self.folder = folder
        keys = {"API_PORT": str(stack.api_port), "TREADLE_API_KEYS": f"{KEY},tk_another_0123456789", **LOGIN}
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **keys}  # noqa: TID251  (a clean one)
        self.environment["PYTHONPATH"] = ":".join(sys.path)

    def run(
        self, *arguments: str, stdin: str = "", settings: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "treadle", *arguments],
            cwd=self.folder,
            env={**self.environment, **(settings or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def jobs(self, *arguments: str, stdin: str = "") -> str:
        """What a command that succeeds prints."""
        done = self.run("jobs", *arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refuse(self, code: int, *arguments: str, stdin: str = "") -> list[str]:
        """The lines a command says that ends with ``code``."""
        done = self.run("jobs", *arguments, stdin=stdin)
        assert done.returncode == code, done.stdout + done.stderr
        lines = done.stderr.splitlines()
        assert all(line.startswith("treadle: ") for line in lines), lines
        return [line.removeprefix("treadle: ") for line in lines]


@pytest.fixture
def shell(tmp_path: Path, stack: Stack) -> Shell:
    return Shell(tmp_path, stack)


def test_a_payload_is_an_argument_a_file_or_standard_input(shell: Shell, stack: Stack) -> None:
    (shell.folder / "rows.json").write_text(ROWS)
    ids = [
        shell.jobs("submit", "CSV_EXPORT", ROWS).strip(),
        shell.jobs("submit", "CSV_EXPORT", "@rows.json", "--wait", "--json"),
        shell.jobs("submit", "CSV_EXPORT", "-", "--wait-seconds", "30", stdin=ROWS),
    ]
    job = json.loads(ids[1])
    assert (job["status"], job["artifacts"][0]["mediaType"]) == ("completed", "text/csv")
    assert (stack.output / f"{job['id']}.csv").read_bytes() == b"a\r\n1.10\r\n", "as it was written"
    assert ids[0] in shell.jobs("list", "--limit", "200")
    assert "status    completed" in ids[2]


def test_one_key_makes_one_job_and_members_are_passed_on(shell: Shell) -> None:
    members = ("--priority", "high", "--run-at", "2090-01-31T09:00:00+01:00", "--max-attempts", "7", "--timeout", "5")
    arguments = ("submit", "CSV_EXPORT", ROWS, "--idempotency-key", new_job_id(), "--json", *members)
    first = json.loads(shell.jobs(*arguments))["jobId"]
    assert json.loads(shell.jobs(*arguments))["jobId"] == first
    job = json.loads(shell.jobs("show", first, "--json"))
    told = (job["priority"], job["runAt"], job["maxAttempts"], job["timeoutSeconds"], job["payload"])
    assert told == ("high", "2090-01-31T08:00:00Z", 7, 5.0, {"data": [{"a": 1.1}]})


def test_jobs_are_cancelled_retried_and_buried_each_for_itself(shell: Shell) -> None:
    waiting = [shell.jobs("submit", "CSV_EXPORT", ROWS, "--delay", "3600").strip() for _ in range(2)]
    assert shell.jobs("cancel", *waiting).splitlines() == [f"{job_id} cancelled" for job_id in waiting]
    assert shell.refuse(1, "cancel", waiting[0], "x") == [
        f"{waiting[0]}: a job that is cancelled cannot be cancelled",
        "x: no job has this id",
    ]
    assert json.loads(shell.jobs("retry", waiting[0], "--json")) == [{"jobId": waiting[0], "status": "queued"}]

    failed = shell.run("jobs", "submit", "FAILING", "{}", "--wait")
    assert failed.returncode == 1
    assert "ValueError: as ordered" in failed.stdout
    job_id = failed.stdout.split()[1]
    done = shell.run("jobs", "dlq", job_id, waiting[1])
    assert (done.returncode, done.stdout) == (1, f"{job_id} dead\n")
    assert job_id in shell.jobs("dlq")
    assert job_id in shell.jobs("list", "--status", "dead", "--type", "FAILING")


def test_jobs_are_erased_and_deleted_with_their_files(shell: Shell, stack: Stack) -> None:
    job_id = json.loads(shell.jobs("submit", "CSV_EXPORT", ROWS, "--wait", "--json"))["id"]
    waiting = shell.jobs("submit", "CSV_EXPORT", ROWS, "--delay", "3600").strip()
    assert shell.refuse(1, "delete", waiting) == [f"{waiting}: a job that is scheduled cannot be deleted"]
    assert shell.jobs("erase", job_id) == f"{job_id} completed\n"
    assert shell.refuse(1, "retry", job_id) != []
    assert shell.jobs("delete", "--files", job_id) == f"{job_id} deleted, with 1 files\n"
    assert not (stack.output / f"{job_id}.csv").exists()


def test_a_list_goes_over_pages_and_on_from_its_end(shell: Shell) -> None:
    for _ in range(3):
        shell.jobs("submit", "CSV_EXPORT", ROWS, "--delay", "3600", "--priority", "high")
    first = shell.run("jobs", "list", "--limit", "2", "--status", "scheduled", "--priority", "high")
    rows = first.stdout.splitlines()
    assert (first.returncode, len(rows), rows[0].split()[:3]) == (0, 3, ["id", "status", "created"])
    more = first.stderr.removeprefix("more: ").split()
    rest = shell.jobs("list", "--status", "scheduled", "--priority", "high", "--json", *more)
    listed = [job["id"] for job in json.loads(rest)["jobs"]]
    assert listed
    assert not set(listed) & {row.split()[0] for row in rows[1:]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("submit", "NO_SUCH", "{}", "--priority", "low", "--queue", "x y"), ["priority:", "queue:", "type:"]),
        (("submit", "CSV_EXPORT", '{"data":'), ["payload: the body is not valid JSON (line 1, column 9)"]),
        (("submit", "CSV_EXPORT", '{"data":[{"a":NaN}]}'), ["payload: NaN"]),
        (("submit", "CSV_EXPORT", "[]"), ["payload: expected an object"]),
        (("submit", "CSV_EXPORT", ""), ["payload: "]),
        (("submit", "CSV_EXPORT", "@nothing.json"), ["payload: cannot be read: No such file"]),
        (("submit", "CSV_EXPORT", "@."), ["payload: cannot be read: Is a directory"]),
        (("submit", "CSV_EXPORT", "{}", "--idempotency-key", "é"), ["idempotency_key: "]),
        (("submit", "CSV_EXPORT", "{}", "--delay", "nan"), ["delaySeconds: "]),
        (("show", "\x1b[2Jno"), ["no job has this id"]),
        (("retry", "\x1b[2Jno"), [" [2Jno: no job has this id"]),
        (("list", "--cursor", "x"), ["cursor: "]),
        (("list", "--priority", "low"), ["priority: "]),
        (("list", "--key", "tk_wrong", "--url", "http://user@127.0.0.1"), ["url: "]),
    ],
)
def test_what_the_server_or_the_client_refuses_is_told_in_lines(
    shell: Shell, arguments: tuple[str, ...], words: list[str]
) -> None:
    lines = sorted(shell.refuse(1, *arguments))
    assert len(lines) == len(words), lines
    for line, word in zip(lines, words, strict=True):
        assert word in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("submit",),
        ("submit", "CSV_EXPORT"),
        ("submit", "CSV_EXPORT", "{}", "--run-at", "soon"),
        ("submit", "CSV_EXPORT", "{}", "--run-at", "2030-01-01T00:00:00"),
        ("list", "--status", "asleep"),
        ("list", "--limit", "0"),
        ("retry",),
        ("nothing",),
        (),
    ],
)
def test_wrong_usage_is_exit_2(shell: Shell, arguments: tuple[str, ...]) -> None:
    shell.refuse(2, *arguments)


def test_a_server_that_is_not_there_or_is_no_treadle_is_told(shell: Shell, stack: Stack) -> None:
    [port] = free_ports(1)
    done = shell.run("jobs", "list", "--url", f"http://127.0.0.1:{port}")
    assert done.returncode == 69
    assert "no connection" in done.stderr
    [line] = shell.refuse(1, "list", "--url", stack.mail_url)
    assert "no job" not in line
    wrong = shell.run("jobs", "submit", "CSV_EXPORT", ROWS, "--key", "tk_wrong")
    assert (wrong.returncode, "API key" in wrong.stderr) == (1, True)
    for name in LOGIN:
        del shell.environment[name]
    unset = shell.run("jobs", "list")
    assert (unset.returncode, "login" in unset.stderr) == (1, True)
    broken = shell.run("jobs", "list", settings={"API_PORT": "abc"})
    assert broken.returncode == 78


def test_waiting_no_longer_than_that_leaves_the_job_alone(shell: Shell) -> None:
    [line] = shell.refuse(1, "submit", "CSV_EXPORT", ROWS, "--delay", "3600", "--wait-seconds", "0.2")
    job_id, words = line.split(" ", 1)
    assert words == "is scheduled after 0.2 seconds, and goes on"
    assert json.loads(shell.jobs("show", job_id, "--json"))["status"] == "scheduled"


def test_a_terminal_sees_the_jobs_own_progress(shell: Shell) -> None:
    reader, writer = pty.openpty()
    command = [sys.executable, "-m", "treadle", "jobs", "submit", "STEPS", '{"seconds": 4}', "--wait"]
    process = subprocess.Popen(
        command, cwd=shell.folder, env={**shell.environment, "TERM": "xterm"}, stdout=subprocess.DEVNULL, stderr=writer
    )
    os.close(writer)
    seen = b""
    try:
        while chunk := os.read(reader, 4096):
            seen += chunk
    except OSError:  # the other end of a pty is closed
        pass
    finally:
        os.close(reader)
    assert process.wait(timeout=60) == 0
    assert b"processing: step " in seen
    assert b"0%" in seen


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completion_is_installed_and_completes(shell: Shell, name: str) -> None:
    # Which shell is running is found out from the process tree, which a test run may have none of: it is told.
    told = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = shell.run("--install-completion", name, settings=told)
    assert done.returncode == 0, done.stdout + done.stderr
    installed = [path.read_text() for path in shell.folder.rglob("*") if path.is_file()]
    assert any("_TREADLE_COMPLETE" in text for text in installed)
    words = {"COMP_WORDS": "treadle jobs s", "COMP_CWORD": "2"}
    asked = shell.run(settings={"_TREADLE_COMPLETE": "complete_bash", **words})
    assert asked.stdout.split() == ["show", "submit"]
