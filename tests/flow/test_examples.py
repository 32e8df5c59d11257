"""Every example's README, typed as it stands there, and what comes out compared with what it shows.

A line with ``$`` is typed; one that ends in ``&`` is started first. ``…`` stands for any text of one line.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flow.stack import SOURCE, Stack, free_ports
from tests.servers.rungs import RUNGS
from tests.waiting import eventually_blocking

EXAMPLES = Path(__file__).parents[2] / "examples"
RUNG_OF = {"csv_export": "sqlite", "own_handler": "sqlite", "web_app": "sqlite", "transaction": "postgres"}
END = "\x1e"
OWN_PORT = "8000"


def steps_of(readme: str) -> list[tuple[str, str]]:
    """Command and output, in order."""
    [block] = re.findall(r"^```console\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    return [(command, output) for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)]


def fits(shown: str, printed: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, shown.split("…"))), printed) is not None


@pytest.fixture(params=sorted(RUNG_OF))
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    """A stack in a copy of the example's folder; nothing runs yet."""
    folder = tmp_path / "example"
    shutil.copytree(EXAMPLES / request.param, folder)
    command = tmp_path / "bin" / "treadle"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m treadle "$@"\n')
    command.chmod(0o755)
    with RUNGS[RUNG_OF[request.param]]() as rung:
        settings = {**rung, "TREADLE_APP": "", "PYTHONPATH": SOURCE, "PYTEST_ADDOPTS": "-p no:valkey -p no:asyncio"}
        stack = Stack(folder, settings)
        try:
            yield stack
        finally:
            stack.close()


@pytest.fixture
def environment(example: Stack) -> dict[str, str]:
    told = example.environment()
    python = Path(sys.executable).parent
    return {**told, "PATH": f"{example.folder.parent / 'bin'}{os.pathsep}{python}{os.pathsep}{told['PATH']}"}


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Programs of the example's own; they end with the test."""
    programs: list[subprocess.Popen[bytes]] = []
    yield programs
    for program in programs:
        program.kill()
        program.wait(timeout=30)


def test_an_example_does_what_its_readme_shows(
    example: Stack, environment: dict[str, str], started: list[subprocess.Popen[bytes]]
) -> None:
    [own_port] = free_ports(1)
    ports = {"3000": example.api_port, "8025": example.page_port, OWN_PORT: own_port}
    for path in [path for path in example.folder.iterdir() if path.suffix in {".md", ".py"}]:
        path.write_text(
            re.sub(rf"\b(3000|8025|{OWN_PORT})\b", lambda found: str(ports[found[0]]), path.read_text("utf-8"))
        )
    steps = steps_of((example.folder / "README.md").read_text("utf-8"))
    assert len(steps) > 2

    for command in [command for command, _ in steps if command.endswith("&")]:
        words = shlex.split(command.removesuffix("&"))
        if words[0] == "treadle":
            settings = {"TREADLE_APP": words[words.index("--app") + 1]} if "--app" in words else {}
            example.start(words[1], settings={"PYTHONPATH": SOURCE, **settings})
        else:
            started.append(subprocess.Popen(words, cwd=example.folder, env=environment))
            eventually_blocking(lambda: answers(own_port), within_seconds=30)
    typed = [step for step in steps if not step[0].endswith("&") and not step[0].startswith("export DATABASE_URL=")]
    printed = type_in([command for command, _ in typed], example.folder, environment)

    for (command, shown), output in zip(typed, printed, strict=True):
        assert fits(shown, output), f"$ {command}\n{output}\n--- the README shows\n{shown}{example.logs()}"


def type_in(commands: list[str], folder: Path, environment: dict[str, str]) -> list[str]:
    """What each printed, in one shell: a later one knows what an earlier one has set."""
    script = "".join(f"{command}\nprintf '{END}'\n" for command in commands)
    done = subprocess.run(
        ["bash", "-c", f"exec 2>&1\n{script}"],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=100,
    )
    return done.stdout.decode().replace("\r\n", "\n").split(END)[:-1]


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_every_example_is_listed_and_run() -> None:
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    listed = set(re.findall(r"\((\w+)/README\.md\)", (EXAMPLES / "README.md").read_text("utf-8")))
    assert folders == listed == set(RUNG_OF)


def test_a_shown_output_that_is_wrong_is_seen() -> None:
    assert fits("a … c\n", "a b c\n")
    assert not fits("a\n", "b\n")
    assert not fits("a …\n", "a b\nc\n")
