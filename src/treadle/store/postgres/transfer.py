"""Whole rows into and out of PostgreSQL; see ``store/transfer``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg
import msgspec

from treadle.errors import StoreRefused, Unavailable
from treadle.ids import JobId, WorkerId
from treadle.queue import Priority
from treadle.states import Status
from treadle.store.queries import read_queries
from treadle.store.transfer import JobRow, KeyRow, QueueRow

SQL = read_queries("treadle.store.postgres.sql", "transfer.sql")

STATEMENT_SECONDS = 120.0
_BELOW_ALL = "00000000-0000-0000-0000-000000000000"
_WORDS = {Priority.HIGH: "high", Priority.DEFAULT: "default"}
_PRIORITIES = {word: priority for priority, word in _WORDS.items()}

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class PostgresTarget:
    """Implements ``Target`` on one connection to a database whose schema is up to date."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def job_count(self) -> int:
        """See ``Source.job_count``."""
        return int(await self._connection.fetchval(SQL["job_count"]))

    async def read_jobs(self, above: JobId | None, limit: int) -> list[JobRow]:
        """See ``Source.read_jobs``."""
        rows = await self._connection.fetch(SQL["read_jobs"], above or _BELOW_ALL, limit)
        return [_job_row(row) for row in rows]

    async def write_jobs(self, rows: Sequence[JobRow]) -> None:
        """See ``Target.write_jobs``: one transaction (asyncpg's ``executemany`` is atomic)."""
        await self._connection.executemany(SQL["write_jobs"], [_job_parameters(row) for row in rows])

    async def read_keys(self) -> list[KeyRow]:
        """See ``Source.read_keys``."""
        return [
            KeyRow(
                scope=row["scope"],
                key=row["key"],
                fingerprint=row["fingerprint"],
                job_ids=tuple(JobId(str(job_id)) for job_id in row["job_ids"]),
                expires_at=row["expires_at"],
            )
            for row in await self._connection.fetch(SQL["read_keys"])
        ]

    async def write_keys(self, rows: Sequence[KeyRow]) -> None:
        """See ``Target.write_keys``."""
        parameters = [(row.scope, row.key, row.fingerprint, row.job_ids, row.expires_at) for row in rows]
        await self._connection.executemany(SQL["write_keys"], parameters)

    async def read_queues(self) -> list[QueueRow]:
        """See ``Source.read_queues``."""
        return [QueueRow(row["name"], row["paused_at"]) for row in await self._connection.fetch(SQL["read_queues"])]

    async def write_queues(self, rows: Sequence[QueueRow]) -> None:
        """See ``Target.write_queues``."""
        await self._connection.executemany(SQL["write_queues"], [(row.name, row.paused_at) for row in rows])


@asynccontextmanager
async def open_target(address: str, *, pgbouncer: bool = False) -> AsyncIterator[PostgresTarget]:
    """A target at ``address``, closed on leaving.

    Raises ``Unavailable``, then and later, where it does not answer (what was written before stays: a move that is
    run again goes on from there), and ``StoreRefused`` for a row that it does not take.
    """
    try:
        connection: Connection = await asyncpg.connect(
            address, timeout=10, command_timeout=STATEMENT_SECONDS, statement_cache_size=0 if pgbouncer else 100
        )
        try:
            yield PostgresTarget(connection)
        finally:
            await connection.close(timeout=5)
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        raise StoreRefused(f"the target refuses a row of the source: {error}") from error
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unavailable(f"the target does not answer ({type(error).__name__}); run the move again") from error


def _job_row(row: asyncpg.Record) -> JobRow:
    return JobRow(
        id=JobId(str(row["id"])),
        type=row["type"],
        queue=row["queue"],
        priority=_PRIORITIES[row["priority"]],
        status=Status(row["status"]),
        attempt=row["attempts"],
        failures=row["failures"],
        crashes=row["crashes"],
        snoozes=row["snoozes"],
        max_attempts=row["max_attempts"],
        max_crashes=row["max_crashes"],
        timeout_seconds=row["timeout_seconds"],
        backoff_base_seconds=row["backoff_base_seconds"],
        backoff_cap_seconds=row["backoff_cap_seconds"],
        cancel_requested=row["cancel_requested"],
        payload=row["payload"].encode(),
        result=_bytes(row["result"]),
        error=row["error"],
        errors=("[" + ",".join(row["errors"]) + "]").encode(),
        progress=_bytes(row["progress"]),
        checkpoint=_bytes(row["checkpoint"]),
        artifacts=row["artifacts"].encode(),
        worker_id=None if row["worker_id"] is None else WorkerId(str(row["worker_id"])),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        run_at=row["run_at"],
        queued_at=row["queued_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        erased_at=row["erased_at"],
        traceparent=row["traceparent"],
    )


def _job_parameters(row: JobRow) -> tuple[object, ...]:
    """In the order of the query ``write_jobs``, which is that of the fields."""
    members = {name: getattr(row, name) for name in JobRow.__struct_fields__}
    errors = msgspec.json.decode(row.errors, type=list[msgspec.Raw])
    members["errors"] = [bytes(error).decode() for error in errors]
    members["priority"] = _WORDS[row.priority]
    members["status"] = row.status.value
    return tuple(value.decode() if isinstance(value, bytes) else value for value in members.values())


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()
