"""``treadle health``: what a container's health check asks, and what it hears when something is wrong."""

from __future__ import annotations

import signal
import socket
import threading
from pathlib import Path

import pytest

from tests.flow.conftest import NewStack
from tests.flow.stack import Stack
from tests.flow.test_commands import treadle
from tests.waiting import eventually_blocking
from treadle.worker.pulse import living_here

pytestmark = pytest.mark.only_on("sqlite", reason="it asks processes, and their store is none of its business")


def health(stack: Stack, process: str) -> tuple[int, str]:
    done = treadle("health", process, cwd=stack.folder, settings=stack.settings)
    assert "Traceback" not in done.stdout + done.stderr
    [line] = done.stdout.splitlines()
    assert line.startswith(f"{process}: ")
    return done.returncode, line.removeprefix(f"{process}: ")


def test_each_process_is_asked_for_itself(new_stack: NewStack) -> None:
    stack = new_stack()
    started = {name: stack.start(name) for name in ("api", "worker", "mailbox")}
    for name in started:
        eventually_blocking(lambda name=name: health(stack, name) == (0, "ok"), within_seconds=30)  # type: ignore[misc]

    for name, process in started.items():
        assert stack.stop(process) == 0
        assert health(stack, name)[0] == 1
        assert all(health(stack, other) == (0, "ok") for other in started if started[other].poll() is None)


def test_a_worker_that_stands_still_is_not_well_and_one_that_goes_on_is(new_stack: NewStack) -> None:
    stack = new_stack()
    worker = stack.start("worker")
    eventually_blocking(lambda: health(stack, "worker") == (0, "ok"), within_seconds=30)

    worker.send_signal(signal.SIGSTOP)
    expected = (1, f"process {worker.pid} has not beaten for a whole lease")
    eventually_blocking(lambda: health(stack, "worker") == expected, within_seconds=30)

    worker.send_signal(signal.SIGCONT)
    eventually_blocking(lambda: health(stack, "worker") == (0, "ok"), within_seconds=30)


def test_a_killed_worker_is_gone_and_its_successor_counts(new_stack: NewStack) -> None:
    stack = new_stack()
    worker = stack.start("worker")
    eventually_blocking(lambda: living_here(stack.folder / "data"), within_seconds=30)
    stack.stop(worker, by=signal.SIGKILL)

    code, words = health(stack, "worker")
    assert (code, words) == (1, "no worker of this host keeps a sign of life in data")

    stack.start("worker")
    eventually_blocking(lambda: health(stack, "worker") == (0, "ok"), within_seconds=30)


def test_an_api_that_cannot_work_says_what_it_lacks(new_stack: NewStack) -> None:
    stack = new_stack({"TREADLE_OUTPUT_DIR": "files"})
    stack.start("api")
    (stack.folder / "files").rmdir()
    (stack.folder / "files").write_text("a file where the folder was")

    code, words = health(stack, "api")

    assert code == 1
    assert words.startswith("/health answered 503")
    assert '"output":"unavailable"' in words


def test_a_mailbox_needs_both_its_doors(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.start("mailbox")
    assert health(stack, "mailbox") == (0, "ok")

    with socket.create_server(("127.0.0.1", 0)) as other:
        threading.Thread(target=lambda: other.accept()[0].sendall(b"SSH-2.0\r\n"), daemon=True).start()
        port = other.getsockname()[1]
        done = treadle(
            "health",
            "mailbox",
            cwd=stack.folder,
            settings={**stack.settings, "TREADLE_MAILBOX_SMTP_PORT": str(port)},
        )
    assert done.returncode == 1
    assert f"127.0.0.1:{port} greets with b'SSH-2.0" in done.stdout


def test_what_listens_everywhere_is_asked_on_loopback(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.start("api")
    settings = {**stack.settings, "TREADLE_HOST": "0.0.0.0", "TREADLE_OPEN": "1"}
    assert treadle("health", "api", cwd=stack.folder, settings=settings).returncode == 0


def test_wrong_settings_and_wrong_words_are_no_health(tmp_path: Path) -> None:
    assert treadle("health", "api", cwd=tmp_path, settings={"API_PORT": "x"}).returncode == 78
    assert treadle("health", "redis", cwd=tmp_path).returncode == 2
    assert treadle("health", cwd=tmp_path).returncode == 2
