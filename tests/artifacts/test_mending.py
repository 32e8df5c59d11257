"""An output folder that cannot be written is said with who, what, and the line that mends it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from treadle.artifacts import mending
from treadle.artifacts.folder import ArtifactFolder
from treadle.artifacts.mending import how_to_mend

TRY = """
import os, sys
from pathlib import Path
from treadle.artifacts.folder import ArtifactFolder
from treadle.artifacts.mending import how_to_mend
root = Path(sys.argv[1])
if os.geteuid() == 0:  # who may write anywhere
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    ArtifactFolder(root).prepare()
except OSError as error:
    print("\\n".join(how_to_mend(root, error, outside=sys.argv[2] == "outside")))
"""
NOBODY = 65534


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder that the one who tries may enter and not write. Not in pytest's own: that is closed to others."""
    with tempfile.TemporaryDirectory(prefix="treadle-") as own:
        Path(own).chmod(0o755)
        folder = Path(own) / "my output"
        folder.mkdir()
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)


def tried(root: Path, *, outside: bool = False) -> list[str]:
    """What somebody hears who is not root."""
    command = [sys.executable, "-c", TRY, str(root), "outside" if outside else ""]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()


def me() -> tuple[int, int]:
    return (NOBODY, NOBODY) if os.geteuid() == 0 else (os.geteuid(), os.getegid())


def test_a_folder_of_somebody_else_names_both_and_the_line(closed: Path) -> None:
    what, mend = tried(closed)

    user, group = me()
    status = closed.stat()
    assert what == (
        f"user {user}, group {group} may not write {closed}, which belongs to {status.st_uid}:{status.st_gid} "
        "with mode 555 (Permission denied)"
    )
    assert mend == f"mend it: sudo chown -R {user}:{group} '{closed}'"


def test_a_folder_that_cannot_be_made_names_the_one_it_should_be_in(closed: Path) -> None:
    what, mend = tried(closed / "a" / "b")

    assert f"may not make {closed}/a/b in {closed}, which belongs to" in what
    assert mend.startswith(f"mend it: sudo mkdir -p '{closed}/a/b' && sudo chown -R ")


def test_in_a_container_it_is_mended_outside(closed: Path) -> None:
    user, group = me()
    what, mend, *rest = tried(closed, outside=True)

    assert f"may not write {closed}" in what
    assert mend == f"outside the container: sudo chown -R {user}:{group} on the folder mounted there (./output)"
    assert rest == []  # root's, or one's own: nobody is told to run as root


def test_in_a_container_the_folders_owner_can_run_it(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    denied = PermissionError(errno.EACCES, "Permission denied")
    theirs = os.stat_result((0o40755, 1, 1, 1, 1001, 121, 0, 0, 0, 0))
    monkeypatch.setattr(Path, "stat", lambda self: theirs)

    *_, line = how_to_mend(closed, denied, outside=True)

    assert line == "or run as its owner: UID=1001 and GID=121 in .env, where compose.yaml is"


def test_other_causes_are_told_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError) as refused:
            ArtifactFolder(root).prepare()
        assert how_to_mend(root, refused.value, outside=False) == [f"{root} cannot be a folder: a file is in its way"]
    for number, words in {errno.EROFS: "mounted read-only", errno.ENOSPC: "No space left"}.items():
        [sentence] = how_to_mend(tmp_path, OSError(number, os.strerror(number)), outside=True)
        assert words in sentence


def test_only_a_mount_in_a_container_is_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / ".dockerenv"
    monkeypatch.setattr(mending, "_CONTAINER_MARKS", (tmp_path / "other", mark))
    assert not mending.is_mounted_from_outside(Path("/"))
    mark.touch()
    assert mending.is_mounted_from_outside(Path("/"))
    assert not mending.is_mounted_from_outside(tmp_path)
    assert not mending.is_mounted_from_outside(tmp_path / "nowhere")
