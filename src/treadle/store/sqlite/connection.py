"""Connections to one SQLite file: one writer thread, which writes in turns, and a few reader threads.

A turn begins with ``BEGIN IMMEDIATE``: a deferred transaction that upgrades gets SQLITE_BUSY at once, whatever the
busy timeout says (sqlite.org/isolation.html).
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from treadle.clock import rising_seconds
from treadle.errors import StoreRefused, Unavailable
from treadle.store.sqlite.faults import primary_code, roll_back, translated
from treadle.store.sqlite.turns import Answer, Turns, Work

BUSY_SECONDS = 5.0
"""How long a write waits for another process's: theirs take milliseconds."""
_LOCKED_PAUSE_SECONDS = 0.01
_READERS = 2


class Connections:
    """All of one process's connections to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = ThreadPoolExecutor(1, "treadle-sqlite-writer")
        self._readers = ThreadPoolExecutor(_READERS, "treadle-sqlite-reader")
        self._write_connection: sqlite3.Connection | None = None
        self._turns = Turns(self._writer, lambda: self._writing)
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []

    async def open(self) -> None:
        """Open the writer and check that its commits survive a power cut. Raises ``StoreRefused``, ``Unavailable``.

        Tried again while the file is locked: SQLite itself does not wait where one process switches a new file to
        WAL while another is about to, so of two that start at once the second would be refused.
        """
        give_up_at = rising_seconds() + BUSY_SECONDS
        while True:
            try:
                self._write_connection = await self._run(self._writer, self._open_writer)
                return
            except Unavailable:
                if rising_seconds() >= give_up_at:
                    raise
            await asyncio.sleep(_LOCKED_PAUSE_SECONDS)

    async def aclose(self) -> None:
        """Finish what was handed over, then close every connection. Once more is nothing more."""
        try:
            closing = asyncio.get_running_loop().run_in_executor(None, self._close)
        except RuntimeError:  # the interpreter is ending, and gives out no more threads
            self._close()
        else:
            await closing

    async def write(self, work: Work[Answer], rows: int = 1) -> Answer:
        """Run ``work`` in a transaction on the writer, perhaps with others' work in it, perhaps more than once.

        ``rows``: how many it may touch. Raises what ``store/protocol`` says (S6).
        """
        return await self._turns.take_part(work, rows)

    async def read(self, work: Work[Answer]) -> Answer:
        """Run ``work`` on one snapshot of a reader."""
        return await self._run(self._readers, lambda: self._in_snapshot(work))

    async def on_writer(self, work: Work[Answer]) -> Answer:
        """Run ``work`` on the writer outside any transaction."""
        return await self._run(self._writer, lambda: translated(lambda: work(self._writing)))

    async def _run(self, pool: ThreadPoolExecutor, work: Callable[[], Answer]) -> Answer:
        try:
            future = asyncio.get_running_loop().run_in_executor(pool, work)
        except RuntimeError as error:  # the pool is shut down
            raise Unavailable("the store is closed") from error
        return await future

    @property
    def _writing(self) -> sqlite3.Connection:
        if self._write_connection is None:
            raise Unavailable("the store is not open yet")
        return self._write_connection

    def _in_snapshot(self, work: Work[Answer]) -> Answer:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = translated(self._open_reader)
            self._local.connection = connection
        translated(lambda: connection.execute("BEGIN"))
        try:
            return translated(lambda: work(connection))
        finally:
            roll_back(connection)

    def _open_writer(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._path.exists():
                self._path.touch(mode=0o600)
            connection = self._connect()
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA fullfsync = ON")
            connection.execute("PRAGMA checkpoint_fullfsync = ON")
            _check_durable(connection)
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, sqlite3.Error) and primary_code(error) == sqlite3.SQLITE_BUSY:
                raise Unavailable("the database is locked by another process") from error
            raise StoreRefused(f"cannot use {self._path} as the database: {error}") from error
        return connection

    def _open_reader(self) -> sqlite3.Connection:
        connection = self._connect()
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _connect(self) -> sqlite3.Connection:
        # Each connection is used by one thread at a time; closing happens from another.
        connection = sqlite3.connect(
            self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        self._opened.append(connection)
        return connection

    def _close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        for connection in self._opened:
            connection.close()


def _check_durable(connection: sqlite3.Connection) -> None:
    """Read back what a 201 rests on; a build or a file system may have refused silently."""
    wanted: dict[str, object] = {"journal_mode": "wal", "synchronous": 2}
    if sys.platform == "darwin":
        wanted["fullfsync"] = 1  # elsewhere fsync means it
    for pragma, value in wanted.items():
        found = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
        if found != value:
            raise StoreRefused(f"SQLite answers PRAGMA {pragma} = {found!r}, and {value!r} is needed for durability")
