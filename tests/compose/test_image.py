"""The Dockerfile: what a linter says of it, and what it must hold whatever else changes."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.compose.resolved import ROOT, program

DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
INSTRUCTIONS = [
    (line.split(maxsplit=1)[0], line.split(maxsplit=1)[1])
    for line in re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).splitlines()
    if line.strip()
]
BUILDER, IMAGE = (
    INSTRUCTIONS[start:end]
    for starts in [[at for at, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM"]]
    for start, end in [(starts[0], starts[1]), (starts[1], None)]
)


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    command = [program("hadolint"), "--failure-threshold", "style", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def said(instructions: list[tuple[str, str]], word: str) -> list[str]:
    return [rest for instruction, rest in instructions if instruction == word]


def test_the_linter_has_nothing_to_say() -> None:
    done = lint(ROOT / "Dockerfile")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("right", "wrong", "rule"),
    [
        ("python:3.11-slim-bookworm", "python", "DL3006"),
        ("USER 1000:1000", "USER root", "DL3002"),
        ("WORKDIR /build", "WORKDIR build", "DL3000"),
    ],
)
def test_the_linter_would_say_something(tmp_path: Path, right: str, wrong: str, rule: str) -> None:
    assert right in DOCKERFILE
    (tmp_path / "Dockerfile").write_text(DOCKERFILE.replace(right, wrong))
    done = lint(tmp_path / "Dockerfile")
    assert done.returncode == 1
    assert rule in done.stdout


def test_requirements_are_installed_by_hash_and_the_wheel_without_any() -> None:
    installs = [command for command in said(BUILDER, "RUN") if "install" in command]
    locked, wheel = installs
    assert "--require-hashes" in locked
    assert "requirements/runtime.txt" in locked
    assert "pip wheel --no-deps" in wheel
    assert "install --no-deps wheels/*.whl" in wheel


def test_the_image_holds_what_was_installed_and_no_source() -> None:
    assert said(IMAGE, "COPY") == ["--from=build /opt/treadle /opt/treadle"]
    assert "pip" not in " ".join(said(IMAGE, "RUN"))
    assert said(IMAGE, "ADD") == []


def test_it_runs_as_somebody_and_where_compose_expects_it() -> None:
    assert said(IMAGE, "USER") == ["1000:1000"]
    assert said(IMAGE, "WORKDIR") == ["/usr/src/app"]
    assert said(IMAGE, "ENTRYPOINT") == ['["treadle"]']
    [made] = said(IMAGE, "RUN")
    assert "mkdir data output" in made
    assert "chmod 1777 data output" in made  # any user that compose names may write there


def test_both_stages_have_one_python_that_the_project_takes() -> None:
    [base, same] = [line.split()[0] for line in said(INSTRUCTIONS, "FROM")]
    assert base == same
    version = re.fullmatch(r"python:(\d+\.\d+)-slim-\w+", base)
    assert version is not None
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["classifiers"]
    assert f"Programming Language :: Python :: {version[1]}" in classifiers


def test_what_is_copied_is_there_and_not_ignored() -> None:
    patterns = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert patterns[0] == "*"
    taken = {pattern[1:] for pattern in patterns if pattern.startswith("!")}
    copied = {source for line in said(BUILDER, "COPY") for source in line.split()[:-1]}
    assert copied == taken
    assert all((ROOT / path).exists() for path in copied)


@pytest.mark.parametrize("secret", [".env", ".git/config", "data/treadle.db", "output/x.csv", ".venv/pyvenv.cfg"])
def test_nothing_else_reaches_the_builder(secret: str) -> None:
    patterns = (ROOT / ".dockerignore").read_text("utf-8").split()
    taken = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    assert not any(secret == path or fnmatch.fnmatch(secret, f"{path}/*") for path in taken)
