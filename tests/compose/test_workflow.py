"""The workflow of GitHub Actions, as far as it can be tried without it: it parses, and what it names exists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compose.resolved import ROOT, compose, environment_of, read_yaml, resolve
from tests.flow.test_commands import treadle

TEXT = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")

Workflow = dict[str, Any]


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    (tmp_path / "yaml").mkdir()
    return read_yaml(tmp_path / "yaml", TEXT)


def steps_of(workflow: Workflow) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def scripts_of(workflow: Workflow) -> list[str]:
    return [step["run"] for step in steps_of(workflow) if "run" in step]


def commands(workflow: Workflow) -> Iterator[list[str]]:
    """Every simple command of the one-line steps."""
    for script in scripts_of(workflow):
        if "\n" not in script.strip():
            yield from (shlex.split(command) for command in script.split("&&"))


def run(script: str, folder: Path, **environment: str) -> None:
    """A step as GitHub runs it."""
    subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environment},  # noqa: TID251  (a clean one)
        check=True,
        timeout=60,
    )


def step(workflow: Workflow, words: str) -> str:
    [script] = [step["run"] for step in steps_of(workflow) if words in step.get("name", "")]
    return str(script)


# ------------------------------------------------------------------------------ the file


def test_it_has_a_unit_and_an_integration_job_with_few_rights(workflow: Workflow) -> None:
    assert set(workflow["on"]) == {"push", "pull_request"}
    assert workflow["permissions"] == {"contents": "read"}
    assert set(workflow["jobs"]) == {"unit", "integration"}
    for job in workflow["jobs"].values():
        assert re.fullmatch(r"ubuntu-\d\d\.\d\d", job["runs-on"])
        assert job["timeout-minutes"] <= 90


def test_actions_are_pinned_by_version(workflow: Workflow) -> None:
    used = [step["uses"] for step in steps_of(workflow) if "uses" in step]
    assert {action.split("@")[0] for action in used} == {"actions/checkout", "actions/setup-python"}
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", action) for action in used)


def test_it_asks_for_these_secrets_and_hands_them_to_one_step() -> None:
    assert re.findall(r"(\w+): \$\{\{ secrets\.(\w+) \}\}", TEXT) == [
        ("LOGIN_USER", "ADMIN_USER"),
        ("LOGIN_PASS", "ADMIN_PASS"),
    ]
    assert TEXT.count("{{ secrets.") == 2


# ------------------------------------------------------------------------------ its commands


def test_every_script_is_one_that_bash_can_read(workflow: Workflow) -> None:
    for script in scripts_of(workflow):
        subprocess.run(["bash", "-n", "-c", script], check=True, timeout=60)


def test_its_commands_name_programs_and_files_that_are_there(workflow: Workflow) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    seen = set()
    for words in commands(workflow):
        name = words[0]
        seen.add(name)
        if name == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE)
        elif name == "./scripts/setup":
            assert os.access(ROOT / name, os.X_OK)
            assert words[1] in {"dev", "runtime"}
        elif name == ".venv/bin/python":
            assert words[1:3] == ["-m", "pytest"]
            assert all((ROOT / path).is_dir() for path in words[3:])
        else:
            assert name in {"docker", ".venv/bin/treadle", "sudo", "apt-get", "printf"}, words
    assert {"make", "docker", ".venv/bin/treadle", ".venv/bin/python"} <= seen


def test_compose_knows_what_it_is_told(workflow: Workflow, tmp_path: Path) -> None:
    calls = [words[2:] for words in commands(workflow) if words[:2] == ["docker", "compose"]]
    assert {call[0] for call in calls} == {"up", "ps", "logs", "down"}
    for verb, *arguments in calls:
        known = compose(tmp_path, verb, "--help", environment={}).stdout
        assert all(argument in known for argument in arguments if argument.startswith("-"))
    assert calls[0] == ["up", "--build", "--detach", "--wait", "--wait-timeout", "300"]


def test_treadle_knows_what_it_is_told(workflow: Workflow, tmp_path: Path) -> None:
    calls = [words[1:] for words in commands(workflow) if words[0] == ".venv/bin/treadle"]
    assert [call[0] for call in calls] == ["smoke"]
    for verb, *arguments in calls:
        known = treadle(verb, "--help", cwd=tmp_path, settings={"COLUMNS": "200", "NO_COLOR": "1"}).stdout
        for option in [argument for argument in arguments if argument.startswith("-")]:
            assert option in known
        assert "SMOKE_ADMIN" in known


def test_the_integration_tests_are_told_what_they_ask_for(workflow: Workflow) -> None:
    [told] = [step["env"] for step in steps_of(workflow) if "pytest" in step.get("run", "")]
    asked = (ROOT / "tests" / "integration" / "conftest.py").read_text("utf-8")
    assert set(told) == set(re.findall(r"TREADLE_TEST_\w+", asked))


def test_what_it_installs_is_what_the_tests_need(workflow: Workflow) -> None:
    [installed] = [words for words in commands(workflow) if words[:3] == ["sudo", "apt-get", "install"]]
    script = (ROOT / "scripts" / "test").read_text("utf-8")
    [servers] = re.findall(r"^need_servers (.+)$", script, re.MULTILINE)
    wanted = {"strace", *servers.split()}
    assert {word for word in installed[3:] if not word.startswith("-")} == wanted


# ------------------------------------------------------------------------------ its steps, run


def test_a_login_reaches_compose_the_tests_and_smoke(workflow: Workflow, tmp_path: Path) -> None:
    exported = tmp_path / "github.env"
    exported.touch()
    script = step(workflow, "Take the admin login")

    run(script, tmp_path, GITHUB_ENV=str(exported), LOGIN_USER="admin", LOGIN_PASS='p"a$s: w%s')

    found = dict(line.split("=", 1) for line in exported.read_text().splitlines())
    assert found == {
        "ADMIN_USER": "admin",
        "ADMIN_PASS": 'p"a$s: w%s',
        "SMOKE_ADMIN": 'admin:p"a$s: w%s',
    }
    services = resolve(tmp_path, environment=found)["services"]
    told = environment_of(services["api"])
    assert (told["ADMIN_USER"], told["ADMIN_PASS"]) == ("admin", 'p"a$s: w%s')


def test_a_fork_without_secrets_sets_no_login(workflow: Workflow, tmp_path: Path) -> None:
    exported = tmp_path / "github.env"
    exported.touch()
    run(step(workflow, "Take the admin login"), tmp_path, GITHUB_ENV=str(exported), LOGIN_USER="", LOGIN_PASS="")
    assert exported.read_text() == ""


def test_one_secret_without_the_other_is_told_and_not_taken_for_none(workflow: Workflow, tmp_path: Path) -> None:
    exported = tmp_path / "github.env"
    exported.touch()
    run(step(workflow, "Take the admin login"), tmp_path, GITHUB_ENV=str(exported), LOGIN_USER="admin", LOGIN_PASS="")
    found = dict(line.split("=", 1) for line in exported.read_text().splitlines())
    told = environment_of(resolve(tmp_path, environment=found)["services"]["api"])
    done = treadle("settings", cwd=tmp_path, settings=told)
    assert done.returncode == 78
    assert "ADMIN_PASS" in done.stderr


def test_the_containers_run_as_whoever_checked_out(workflow: Workflow, tmp_path: Path) -> None:
    run(step(workflow, "owner of ./output"), tmp_path)
    services = resolve(tmp_path)["services"]
    assert services["worker"]["user"] == f"{os.getuid()}:{os.getgid()}"
