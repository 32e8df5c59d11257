"""The output folder: files are written beside their place, flushed, and renamed into it.

A name is ``{job id}{suffix}`` for files whose bytes every attempt writes alike, else ``{job id}.{attempt}.{name}``.
Nothing that came from outside is ever part of a path but a checked artifact name, and no link is followed.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from treadle.ids import JobId
from treadle.outcome import Artifact

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# RFC 9110 section 8.3.1, quoted parameters left out: it is stored in the row and sent as a header.
_MEDIA_TYPE = re.compile(r"(?=.{1,200}\Z)[\w!#$&^.+-]+/[\w!#$&^.+-]+(?: ?; ?[\w!#$&^.+-]+=[\w!#$&^.+-]+)*", re.ASCII)
_TEMPORARY = re.compile(r"\.[A-Za-z0-9._-]+\.[0-9a-f]{16}\.tmp")
_BUFFER_BYTES = 256 * 1024


class ArtifactFolder:
    """Published files of one installation."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def prepare(self) -> None:
        """Make the folder and see that it can be written. Raises ``OSError``."""
        self.root.mkdir(mode=0o750, parents=True, exist_ok=True)
        probe = self.root / f".probe.{secrets.token_hex(8)}.tmp"
        probe.touch(mode=0o600)
        probe.unlink()

    @contextmanager
    def write(
        self,
        job_id: JobId,
        attempt: int,
        name: str,
        media_type: str,
        *,
        deterministic: bool,
        published: Callable[[Artifact], None],
    ) -> Iterator[BinaryIO]:
        """A binary file; on leaving the block it is flushed to disk, renamed into place and ``published`` told.

        An exception in the block removes it instead. Raises ``ValueError`` for a bad name or media type, ``OSError``.
        """
        if not _NAME.fullmatch(name):
            raise ValueError("an artifact's name must match [A-Za-z0-9][A-Za-z0-9._-]{0,99}")
        if not _MEDIA_TYPE.fullmatch(media_type):
            raise ValueError("an artifact's media type must be one, as in text/csv or text/plain; charset=utf-8")
        final = f"{job_id}{Path(name).suffix}" if deterministic else f"{job_id}.{attempt}.{name}"
        temporary = f".{final}.{secrets.token_hex(8)}.tmp"
        folder = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(temporary, flags, 0o640, dir_fd=folder)
            try:
                _mark_as_written(handle)
                hashing = _HashingWriter(io.FileIO(handle, "wb"))
                with io.BufferedWriter(cast(io.RawIOBase, hashing), _BUFFER_BYTES) as file:
                    yield file
                    file.flush()
                    os.fsync(handle)
                os.rename(temporary, final, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=folder)
                raise
            os.fsync(folder)
        finally:
            os.close(folder)
        published(Artifact(name, final, hashing.size_bytes, hashing.digest.hexdigest(), media_type))

    def open(self, path: str) -> int:
        """A file descriptor for reading a published file. Raises ``FileNotFoundError`` where it is no plain file."""
        if "/" in path or "\0" in path or path.startswith("."):
            raise FileNotFoundError(path)
        folder = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # NONBLOCK: a FIFO somebody put in its place must not hold us.
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except OSError as error:
            raise FileNotFoundError(path) from error
        finally:
            os.close(folder)
        if not os.path.isfile(handle):
            os.close(handle)
            raise FileNotFoundError(path)
        return handle

    def remove(self, job_id: JobId) -> int:
        """Remove every file that any attempt of the job published; how many. Raises ``OSError`` for one that stays."""
        removed = 0
        for entry in os.scandir(self.root):
            # The id itself is a name where an artifact without a suffix was shared by all attempts.
            if entry.name == job_id or entry.name.startswith(f"{job_id}."):
                with suppress(FileNotFoundError):
                    os.unlink(entry.path)
                    removed += 1
        return removed

    def remove_stale(self, older_than: float) -> int:
        """Remove temporary files that nobody writes and that were last written before ``older_than``; how many.

        ``older_than``: seconds since 1970. A file whose writer holds it open stays, however long it buffers.
        """
        removed = 0
        for entry in os.scandir(self.root):
            if not _TEMPORARY.fullmatch(entry.name):
                continue
            # Another process may remove it first; and what cannot be removed keeps nobody from the rest.
            with suppress(OSError):
                if entry.stat(follow_symlinks=False).st_mtime < older_than and not _is_written(entry):
                    os.unlink(entry.path)
                    removed += 1
        return removed


def _mark_as_written(handle: int) -> None:
    """Held until the file is closed, by whatever way its process ends (flock(2))."""
    with suppress(OSError):  # a file system without locks: the age alone decides there
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_written(entry: os.DirEntry[str]) -> bool:
    if not entry.is_file(follow_symlinks=False):
        return False
    handle = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


class _HashingWriter(io.RawIOBase):
    """Counts and hashes what passes to the file under it."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.size_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        written = self._file.write(data)
        self.digest.update(memoryview(data)[:written])
        self.size_bytes += written
        return written

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
