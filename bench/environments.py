"""An environment of its own for every peer: a venv under ``.bench/`` for Python, ``npm ci`` for Node; made once."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "bench" / "peers"
WORK = ROOT / ".bench"
"""Environments, samples of the last run, servers; ignored by git."""

_NOT_PEERS = frozenset({"contract"})


class NoEnvironment(Exception):
    """It could not be made; says why."""


def peer_names(folder: Path = PEERS) -> list[str]:
    """Everyone with a program in the folder."""
    return sorted(_programs(folder))


def _programs(folder: Path) -> dict[str, Path]:
    """By the peer's name. A file that would be mistaken for its package's is called ``NAME_peer.py``."""
    found = [path for kind in ("*.py", "*.mjs") for path in folder.glob(kind) if path.stem not in _NOT_PEERS]
    return {path.stem.removesuffix("_peer"): path for path in found}


def command_of(name: str, folder: Path = PEERS, work: Path = WORK) -> list[str]:
    """How to call a peer's program, its environment made if need be. Raises ``NoEnvironment``."""
    program = _programs(folder)[name]
    interpreter = _node(folder) if program.suffix == ".mjs" else _venv(name, program, work)
    return [interpreter, str(program)]


def _venv(name: str, program: Path, work: Path) -> str:
    requirements = program.parent / "requirements" / f"{program.stem}.txt"
    if not requirements.exists():
        raise NoEnvironment(f"{requirements} is not there")
    home = work / "venvs" / name
    python = home / "bin" / "python"
    mark = _Mark(home / ".made-of", [sys.version, requirements.read_text(encoding="utf-8")])
    if not (python.exists() and mark.is_current):
        shutil.rmtree(home, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(home)])
        # No other packages than those that are pinned: a peer is the same everywhere.
        _run([str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input",
              "install", "--no-deps", "--requirement", str(requirements)])  # fmt: skip
        mark.set()
    return str(python)


def _node(folder: Path) -> str:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise NoEnvironment("Node and npm are not there. Debian and Ubuntu: sudo apt-get install nodejs npm")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    texts = [(folder / file).read_text(encoding="utf-8") for file in ("package.json", "package-lock.json")]
    mark = _Mark(folder / "node_modules" / ".made-of", [version, *texts])
    if not mark.is_current:
        _run([npm, "ci", "--no-audit", "--no-fund"], folder)
        mark.set()
    return node


class _Mark:
    """A file that says what something was made of; written last, so that what was interrupted is made again."""

    def __init__(self, path: Path, made_of: Sequence[str]) -> None:
        self._path = path
        self._digest = hashlib.sha256("\0".join(made_of).encode()).hexdigest()

    @property
    def is_current(self) -> bool:
        return self._path.exists() and self._path.read_text(encoding="utf-8") == self._digest

    def set(self) -> None:
        self._path.write_text(self._digest, encoding="utf-8")


def _run(command: Sequence[str], folder: Path = ROOT) -> None:
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )  # fmt: skip
    if done.returncode:
        raise NoEnvironment(f"{' '.join(command[:6])}: {(done.stdout + done.stderr)[-1500:].strip()}")
