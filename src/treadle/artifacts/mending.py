"""Words for an output folder that cannot be written: who cannot write what, and the line that mends it."""

from __future__ import annotations

import errno
import os
import shlex
from pathlib import Path

_CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
"""Left by Docker and by Podman in every container."""


def is_mounted_from_outside(root: Path) -> bool:
    """Whether this is a container, and ``root`` a folder of the machine around it."""
    return any(mark.exists() for mark in _CONTAINER_MARKS) and os.path.ismount(root)


def how_to_mend(root: Path, error: OSError, *, outside: bool) -> list[str]:
    """Sentences about ``root`` after ``ArtifactFolder.prepare`` raised ``error``; for people who start Treadle.

    ``outside``: of the container, is where it must be mended.
    """
    folder = root.absolute()
    if error.errno in (errno.EACCES, errno.EPERM):
        return _of_rights(folder, error, outside=outside)
    if error.errno == errno.EROFS:
        return [f"{folder} cannot be written: its file system is mounted read-only"]
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return [f"{folder} cannot be a folder: a file is in its way"]
    return [f"{folder} cannot be written ({error.strerror})"]


def _of_rights(folder: Path, error: OSError, *, outside: bool) -> list[str]:
    place = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), folder)
    user, group = os.geteuid(), os.getegid()
    sentences = [f"user {user}, group {group} may not {_what(folder, place)} ({error.strerror})"]
    if outside:
        owner = _owner(place)
        sentences.append(f"outside the container: sudo chown -R {user}:{group} on the folder mounted there (./output)")
        if owner is not None and owner[0] not in (0, user):
            sentences.append(f"or run as its owner: UID={owner[0]} and GID={owner[1]} in .env, where compose.yaml is")
    else:
        made = "" if place == folder else f"sudo mkdir -p {shlex.quote(str(folder))} && "
        sentences.append(f"mend it: {made}sudo chown -R {user}:{group} {shlex.quote(str(folder))}")
    return sentences


def _what(folder: Path, place: Path) -> str:
    owner = _owner(place)
    belongs = f", which belongs to {owner[0]}:{owner[1]} with mode {owner[2]:o}" if owner is not None else ""
    return f"write {folder}{belongs}" if place == folder else f"make {folder} in {place}{belongs}"


def _owner(path: Path) -> tuple[int, int, int] | None:
    """Its user, group and mode; ``None`` where not even that may be known."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_uid, status.st_gid, status.st_mode & 0o7777
