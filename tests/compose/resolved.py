"""compose.yaml as the real Compose binary resolves it; no engine is needed for that."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OWN = ("api", "worker", "mailbox")
"""The services that run Treadle."""

_UNITS = {"h": 3600, "m": 60, "s": 1}


def program(name: str) -> str:
    """A program of the test environment. Fails where it is missing: nothing here is skipped."""
    found = Path(sys.executable).with_name(name)
    assert found.exists(), f"{name} is missing from the environment of the tests: make setup"
    return str(found)


def compose(folder: Path, *arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Compose in ``folder``, with nothing of the caller's environment but PATH."""
    own = {"PATH": os.environ["PATH"], "HOME": str(folder)}  # noqa: TID251  (a clean one)
    command = [program("docker-compose"), "--project-directory", str(folder), *arguments]
    return subprocess.run(
        command, cwd=folder, env={**own, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


def resolve(folder: Path, *, dotenv: str = "", environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The whole of compose.yaml for a clone in ``folder`` with this ``.env`` and this shell's environment."""
    shutil.copy(ROOT / "compose.yaml", folder)
    if dotenv:
        (folder / ".env").write_text(dotenv)
    done = compose(folder, "config", "--format", "json", environment=environment or {})
    assert done.returncode == 0, done.stderr
    resolved: dict[str, Any] = json.loads(done.stdout)
    return resolved


def environment_of(service: Mapping[str, Any]) -> dict[str, str]:
    """What a container of ``service`` gets: names without a value are not set there."""
    told = service.get("environment") or {}
    return {name: value.replace("$$", "$") for name, value in told.items() if value is not None}


def seconds(duration: str) -> int:
    """Of a duration as Compose writes it: 1m30s."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([hms])", duration))


def read_yaml(folder: Path, text: str) -> dict[str, Any]:
    """Any YAML document as Compose's own parser reads it: tests need no other parser."""
    indented = "\n".join(f"  {line}" for line in text.splitlines())
    (folder / "compose.yaml").write_text(f"services: {{none: {{image: none}}}}\nx-document:\n{indented}\n")
    done = compose(folder, "config", "--format", "json", "--no-interpolate", environment={})
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)["x-document"]
    return document
