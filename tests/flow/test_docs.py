"""What the pages of docs/ show runs as it stands there: programs, tests, and every line that is typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flow.pytests import OPTIONS
from tests.flow.stack import Stack

DOCS = Path(__file__).parents[2] / "docs"
ADDRESS = "http://127.0.0.1:3000"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = Stack(tmp_path_factory.mktemp("stack"))
    try:
        running.start("dev")
        yield running
    finally:
        running.close()


def run(command: list[str], folder: Path, stack: Stack) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{folder}:{os.environ['PATH']}",  # noqa: TID251  (a clean one)
        "HOME": str(folder),
        "PYTHONPATH": ":".join(sys.path),
        "API_PORT": str(stack.api_port),
        "TREADLE_DATA_DIR": str(stack.database.parent),
    }
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize("example", blocks("client.md", "python"))
def test_the_clients_examples_run(stack: Stack, tmp_path: Path, example: str) -> None:
    assert ADDRESS in example
    done = run([sys.executable, "-c", example.replace(ADDRESS, stack.url)], tmp_path, stack)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout in ("name,born\nAda,1815\n\n", "100 done\n")


CONSOLES = [
    pytest.param(block, id=f"{page.relative_to(DOCS)}-{number}")
    for page in sorted(DOCS.rglob("*.md"))
    for number, block in enumerate(blocks(str(page.relative_to(DOCS)), "console"))
]


@pytest.mark.parametrize("example", CONSOLES)
def test_what_is_typed_does_not_fail(stack: Stack, tmp_path: Path, example: str) -> None:
    (tmp_path / "rows.json").write_text('{"data": [{"n": 1}]}')
    command = tmp_path / "treadle"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m treadle "$@"\n')
    command.chmod(0o755)
    lines = [line.removeprefix("$ ") for line in example.splitlines() if line.startswith("$ ")]
    assert lines
    for line in lines:
        line = line.replace("curl -s ", "curl -sSf ").replace(ADDRESS, stack.url)
        done = run(["sh", "-c", line], tmp_path, stack)
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"


def test_the_testing_example_passes(stack: Stack, tmp_path: Path) -> None:
    [example] = blocks("testing.md", "python")
    (tmp_path / "test_shop.py").write_text(example)
    done = run([sys.executable, "-m", "pytest", "-q", *OPTIONS, "test_shop.py"], tmp_path, stack)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_first_handler_and_its_test_are_right(stack: Stack, tmp_path: Path) -> None:
    code, test = blocks("start.md", "python")
    (tmp_path / "shop.py").write_text(code)
    (tmp_path / "test_shop.py").write_text(test)
    done = run([sys.executable, "-m", "pytest", "-q", *OPTIONS, "test_shop.py"], tmp_path, stack)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
