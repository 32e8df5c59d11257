"""A copy of a live SQLite file by its own online backup (sqlite.org/backup.html), checked before it takes its name."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from treadle.errors import StoreRefused, Unavailable

PAGES_PER_STEP = 2_000
"""Eight megabytes a step, and no lock held between two: writers wait for none of it."""

Progress = Callable[[int, int], None]


def back_up(source: Path, target: Path, progress: Progress) -> int:
    """Copy ``source`` as of one moment to ``target``, which must not exist; the copy's size in bytes.

    ``progress``: pages done, and pages in all. A commit by another process begins the copy anew, as SQLite does it.
    The copy is flushed and passes ``integrity_check`` before it takes its name. Raises ``StoreRefused`` where the
    target exists or cannot be written, or the copy is damaged (then so is the source); ``Unavailable`` where the
    source is locked.
    """
    if os.path.lexists(target):
        raise StoreRefused(f"{target} exists already, and nothing is overwritten: name another file")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        os.close(handle)
    except OSError as error:
        raise StoreRefused(f"cannot write {target}: {error.strerror}") from error
    try:
        _copy(source, temporary, progress)
        _check(temporary)
        _publish(temporary, target)
    finally:
        for leftover in (
            temporary,
            *(temporary.with_name(temporary.name + end) for end in ("-journal", "-wal", "-shm")),
        ):
            with suppress(FileNotFoundError):
                leftover.unlink()
    return target.stat().st_size


def _copy(source: Path, temporary: Path, progress: Progress) -> None:
    def told(status: int, remaining: int, total: int) -> None:
        progress(total - remaining, total)

    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as live,
            closing(sqlite3.connect(temporary)) as copy,
        ):
            # A snapshot held open: commits of others neither enter the copy nor begin it anew.
            live.execute("BEGIN")
            live.execute("SELECT 1 FROM sqlite_master").fetchone()
            live.backup(copy, pages=PAGES_PER_STEP, progress=told)
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        raise Unavailable(f"the copy was not made: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StoreRefused(f"the copy was not made: {error}") from error


def _check(temporary: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{temporary.resolve().as_uri()}?mode=ro", uri=True)) as copy:
            found = [row[0] for row in copy.execute("PRAGMA integrity_check(3)")]
    except sqlite3.DatabaseError as error:
        found = [str(error)]
    if found != ["ok"]:
        raise StoreRefused(f"the database is damaged, and so is a copy of it; none is kept: {'; '.join(found)}")


def _publish(temporary: Path, target: Path) -> None:
    """Flush the copy, and link it to its name: unlike a rename, that fails where the name is taken meanwhile."""
    try:
        for path in (temporary, temporary.parent):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        os.link(temporary, target)
    except OSError as error:
        raise StoreRefused(f"cannot write {target}: {error.strerror}") from error
