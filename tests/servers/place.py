"""Where servers keep their files, and as whom they run."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.servers.guard import Guard

_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 1 << 30
"""Two PostgreSQL clusters take about 40 MB each when new, and up to 256 MB each in log segments."""


class Place:
    """A folder for all servers of a run, removed at its end. In memory where there is room: PostgreSQL runs with
    ``fsync`` on, because Treadle refuses another, and there ``fsync`` costs nothing.
    """

    def __init__(self, parent: Path | None = None) -> None:
        """``parent``: the folder to make it in, for who measures what a disk costs."""
        self.guard = Guard()
        if parent is None and _has_room(_MEMORY):
            parent = _MEMORY
        self.folder = Path(tempfile.mkdtemp(prefix="treadle-tests-", dir=parent))
        self.guard.remove(self.folder)
        self.folder.chmod(0o711)  # servers that run as nobody pass through

    def new_folder(self, name: str) -> Path:
        """An empty folder that servers started with ``as_nobody`` own."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        if is_root():
            entry = pwd.getpwnam("nobody")
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        return folder

    def close(self) -> None:
        """End what still runs, remove everything."""
        self.guard.close()


def is_root() -> bool:
    return os.geteuid() == 0


def as_nobody() -> dict[str, Any]:
    """For ``subprocess``: PostgreSQL and PgBouncer refuse to run as root. ``nobody`` has what ``initdb`` wants, an
    entry in the password file; a bare number has none.
    """
    if not is_root():
        return {}
    return {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}


def _has_room(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > _ROOM_BYTES
