"""Compose's layout as processes, and tests/integration on it: with a login, and without one as forks have it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compose.resolved import ROOT
from tests.flow.composed import SOURCE, Composed, composed
from tests.flow.test_commands import treadle

LOGIN = {"ADMIN_USER": "admin", "ADMIN_PASS": "a pass-word: with a colon"}


def integration(stack: Composed | None, **said: str) -> tuple[int, dict[str, int], str]:
    """Exit code, how many tests ended how, and what was printed."""
    where = (
        {
            "TREADLE_TEST_STACK_URL": stack.url,
            "TREADLE_TEST_STACK_MAIL_URL": stack.mail_url,
            "TREADLE_TEST_STACK_OUTPUT": str(stack.output),
        }
        if stack
        else {}
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": SOURCE, **where, **said}  # noqa: TID251  (a clean one)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/integration"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=110, check=False)
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|error)", done.stdout)}
    return done.returncode, counts, done.stdout + done.stderr


def test_with_a_login_everything_is_tested(tmp_path: Path) -> None:
    dotenv = "\n".join(f"{name}='{value}'" for name, value in LOGIN.items())
    with composed(tmp_path, dotenv=dotenv) as stack:
        where = ("--url", stack.url, "--mail-url", stack.mail_url, "--output", str(stack.output))
        smoke = treadle("smoke", *where, cwd=tmp_path, settings={"SMOKE_ADMIN": ":".join(LOGIN.values())})
        assert smoke.returncode == 0, smoke.stdout + smoke.stderr + stack.logs()

        code, counts, printed = integration(stack, **LOGIN)
        assert code == 0, printed + stack.logs()
        assert set(counts) == {"passed"}
        assert counts["passed"] >= 13

        assert stack.stop() == dict.fromkeys(("api", "worker", "mailbox"), 0)
        assert "Traceback" not in stack.logs()


def test_without_the_logins_secrets_only_its_own_test_is_skipped(tmp_path: Path) -> None:
    with composed(tmp_path) as stack:
        smoke = treadle("smoke", "--url", stack.url, cwd=tmp_path)
        assert smoke.returncode == 0, smoke.stdout + smoke.stderr + stack.logs()

        code, counts, printed = integration(stack)
        assert code == 0, printed + stack.logs()
        assert counts["skipped"] == 1
        assert counts["passed"] >= 12
        assert set(counts) == {"passed", "skipped"}
        assert re.findall(r"SKIPPED \[1\] \S+:\d+: (.*)", printed) == [
            "ADMIN_USER and ADMIN_PASS are not set: this stack runs without a login"
        ]


def test_a_stack_with_a_login_is_not_tested_without_it(tmp_path: Path) -> None:
    with composed(tmp_path, dotenv="ADMIN_USER=admin\nADMIN_PASS=secret") as stack:
        code, counts, _ = integration(stack)
    assert code == 1
    assert counts["failed"] >= 3


@pytest.mark.parametrize("said", [{}, {"TREADLE_TEST_STACK_URL": "http://127.0.0.1:1"}])
def test_without_a_stack_it_is_a_failure_to_ask_for_it(said: dict[str, str]) -> None:
    code, counts, printed = integration(None, **said)
    assert code != 0, printed
    assert "passed" not in counts
