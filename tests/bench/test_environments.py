"""An environment is made once, and again when what it is made of changed; a failure leaves nothing half made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import environments
from bench.environments import NoEnvironment, command_of, peer_names


@pytest.fixture
def peers(tmp_path: Path) -> Path:
    folder = tmp_path / "peers"
    (folder / "requirements").mkdir(parents=True)
    for name in ("contract.py", "contract.mjs", "stub.py", "huey_peer.py", "bullmq.mjs"):
        (folder / name).touch()
    (folder / "requirements" / "stub.txt").write_text("")
    (folder / "requirements" / "huey_peer.txt").write_text("there-is-no-such-package-@-all\n")
    return folder


def test_every_program_but_the_contract_is_a_peer(peers: Path) -> None:
    assert peer_names(peers) == ["bullmq", "huey", "stub"]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps that were taken, by their last word. Nothing is installed; what cannot be is named huey."""
    steps: list[str] = []

    def run(command: Sequence[str], folder: Path = Path()) -> None:
        steps.append(Path(command[-1]).name)
        if command[-1].endswith("huey_peer.txt"):
            raise NoEnvironment("no such package")
        if command[1:3] == ["-m", "venv"]:
            python = Path(command[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.touch()

    monkeypatch.setattr(environments, "_run", run)
    return steps


def test_an_environment_is_made_once_and_again_when_its_requirements_change(
    peers: Path, tmp_path: Path, made: list[str]
) -> None:
    assert command_of("stub", peers, tmp_path) == [
        str(tmp_path / "venvs" / "stub" / "bin" / "python"),
        str(peers / "stub.py"),
    ]
    assert made == ["stub", "stub.txt"]

    command_of("stub", peers, tmp_path)
    assert made == ["stub", "stub.txt"]

    (peers / "requirements" / "stub.txt").write_text("# another\n")
    command_of("stub", peers, tmp_path)
    assert made == ["stub", "stub.txt"] * 2


def test_what_cannot_be_installed_is_told_and_tried_again(peers: Path, tmp_path: Path, made: list[str]) -> None:
    for _ in range(2):
        with pytest.raises(NoEnvironment, match="no such package"):
            command_of("huey", peers, tmp_path)
    assert made == ["huey", "huey_peer.txt"] * 2


def test_a_peer_without_pinned_packages_is_told(peers: Path, tmp_path: Path) -> None:
    (peers / "requirements" / "stub.txt").unlink()
    with pytest.raises(NoEnvironment, match="is not there"):
        command_of("stub", peers, tmp_path)
