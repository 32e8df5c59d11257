"""Whole rows out of a SQLite file; see ``store/transfer``."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec

from treadle.errors import StoreRefused, Unavailable
from treadle.ids import JobId, WorkerId
from treadle.queue import Priority
from treadle.states import Status
from treadle.store.migrate import read_migrations
from treadle.store.queries import read_queries
from treadle.store.sqlite.rows import bytes_or_none, moment, moment_or_none
from treadle.store.sqlite.writing import payload_of
from treadle.store.transfer import JobRow, KeyRow, QueueRow

SQL = read_queries("treadle.store.sqlite.sql", "transfer.sql", "jobs.sql")


class SQLiteSource:
    """Implements ``Source`` on the file of a stopped installation, which it keeps everybody else out of."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Take the file for this process alone. Raises ``StoreRefused`` where another process has it open."""
        if not self._path.is_file():
            raise StoreRefused(f"there is no SQLite file {self._path} to move")
        connection = sqlite3.connect(self._path, timeout=1, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        try:
            # In WAL mode this succeeds only where no other connection is open, idle ones included.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            [version] = connection.execute("PRAGMA user_version").fetchone()
        except sqlite3.OperationalError as error:
            connection.close()
            raise StoreRefused(
                f"{self._path} is in use ({error}): stop every Treadle process that uses it, then move it"
            ) from None
        except sqlite3.DatabaseError as error:
            connection.close()
            raise StoreRefused(f"{self._path} is no SQLite file of Treadle's: {error}") from None
        newest = len(read_migrations("treadle.store.sqlite.migrations"))
        if version != newest:
            connection.close()
            raise StoreRefused(
                f"{self._path} has schema version {version}, and this Treadle moves version {newest}: "
                "run `treadle migrate` on it first"
            )
        self._connection = connection

    def close(self) -> None:
        """Let the file go; nothing in it was changed."""
        if self._connection is not None:
            self._connection.execute("ROLLBACK")
            self._connection.close()
            self._connection = None

    async def job_count(self) -> int:
        """See ``Source.job_count``."""
        [count] = self._open_connection.execute(SQL["job_count"]).fetchone()
        return int(count)

    async def read_jobs(self, above: JobId | None, limit: int) -> list[JobRow]:
        """See ``Source.read_jobs``."""
        connection = self._open_connection
        rows = connection.execute(SQL["read_jobs"], {"above": above or "", "limit": limit}).fetchall()
        return [_job_row(row, payload_of(connection, row["id"], row["payload"])) for row in rows]

    async def read_keys(self) -> list[KeyRow]:
        """See ``Source.read_keys``."""
        return [
            KeyRow(
                scope=row["scope"],
                key=row["key"],
                fingerprint=bytes(row["fingerprint"]),
                job_ids=tuple(msgspec.json.decode(row["job_ids"], type=list[JobId])),
                expires_at=moment(row["expires_at"]),
            )
            for row in self._open_connection.execute(SQL["read_keys"])
        ]

    async def read_queues(self) -> list[QueueRow]:
        """See ``Source.read_queues``."""
        rows = self._open_connection.execute(SQL["read_queues"])
        return [QueueRow(row["name"], moment_or_none(row["paused_at"])) for row in rows]

    @property
    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise Unavailable("the SQLite file is not open")
        return self._connection


def _job_row(row: sqlite3.Row, payload: bytes) -> JobRow:
    return JobRow(
        id=JobId(row["id"]),
        type=row["type"],
        queue=row["queue"],
        priority=Priority(row["priority"]),
        status=Status(row["status"]),
        attempt=row["attempt"],
        failures=row["failures"],
        crashes=row["crashes"],
        snoozes=row["snoozes"],
        max_attempts=row["max_attempts"],
        max_crashes=row["max_crashes"],
        timeout_seconds=row["timeout_seconds"],
        backoff_base_seconds=row["backoff_base_seconds"],
        backoff_cap_seconds=row["backoff_cap_seconds"],
        cancel_requested=bool(row["cancel_requested"]),
        payload=payload,
        result=bytes_or_none(row["result"]),
        error=row["error"],
        errors=row["errors"].encode(),
        progress=bytes_or_none(row["progress"]),
        checkpoint=bytes_or_none(row["checkpoint"]),
        artifacts=row["artifacts"].encode(),
        worker_id=None if row["worker_id"] is None else WorkerId(row["worker_id"]),
        created_at=moment(row["created_at"]),
        updated_at=moment(row["updated_at"]),
        run_at=moment_or_none(row["run_at"]),
        queued_at=moment_or_none(row["queued_at"]),
        started_at=moment_or_none(row["started_at"]),
        finished_at=moment_or_none(row["finished_at"]),
        erased_at=moment_or_none(row["erased_at"]),
        traceparent=row["traceparent"],
    )
