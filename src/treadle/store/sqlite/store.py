"""``SQLiteStore``: the store of one machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from treadle.clock import Anchor, boot_id, rising_seconds, wall_now
from treadle.errors import StoreRefused
from treadle.ids import JobId, WorkerId
from treadle.job import ClaimedJob, Orphan, StoredJob
from treadle.states import Status, Verb
from treadle.store.migrate import pending, read_migrations
from treadle.store.protocol import (
    ClaimRequest,
    Expiry,
    HeldJob,
    InsertResult,
    JobFilter,
    Move,
    Note,
    Operated,
    Page,
    Promoted,
    PublishedType,
    QueueRecord,
    Settled,
    Submission,
    WorkerRecord,
)
from treadle.store.sqlite import checking, claiming, inserting, reading, settling, writing
from treadle.store.sqlite.connection import Connections
from treadle.store.sqlite.faults import primary_code
from treadle.store.sqlite.rows import (
    moment,
    orphan,
    published_type,
    to_micros,
    to_micros_or_none,
    worker_parameters,
    worker_record,
)
from treadle.store.sqlite.writing import SQL, json_list

OLDEST_SQLITE = (3, 38, 0)
"""RETURNING came with 3.35, json built in with 3.38; Debian 12 has 3.40."""


class SQLiteStore:
    """Implements ``Store`` on one SQLite file, which several processes of one machine may share."""

    def __init__(self, path: Path) -> None:
        self._connections = Connections(path)
        self._declared: set[str] = set()
        self._turn = 0
        self._is_long = False
        """Whether the last scan found all it wanted."""

    async def open(self, *, migrate: bool) -> None:
        """See ``Store.open``."""
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise StoreRefused(f"SQLite {sqlite3.sqlite_version} is too old: 3.38 or newer is needed")
        try:
            await self._connections.open()
            await self._connections.write(lambda connection: _migrate(connection, migrate))
        except BaseException:
            await self._connections.aclose()
            raise

    async def aclose(self) -> None:
        """See ``Store.aclose``."""
        await self._connections.aclose()

    async def ping(self) -> None:
        """See ``Store.ping``: takes the write lock, and gives it back."""
        await self._connections.write(lambda connection: connection.execute(SQL["ping"]).fetchone())

    async def anchor(self) -> Anchor:
        """See ``Store.anchor``: one row that all processes of this boot share; a new boot writes it anew."""
        return await self._connections.write(_anchor)

    async def changes(self) -> int:
        """See ``Store.changes``: counts commits of others; the writer's own leave it as it is (data_version)."""
        version: int = await self._connections.on_writer(
            lambda connection: connection.execute("PRAGMA data_version").fetchone()[0]
        )
        return version

    async def insert(self, units: Sequence[Submission], now: datetime) -> list[InsertResult]:
        """See ``Store.insert``."""
        named = {job.queue for unit in units for job in unit.jobs}
        new = named - self._declared

        def work(connection: sqlite3.Connection) -> list[InsertResult]:
            if new:
                connection.executemany(SQL["declare_queue"], [{"name": name} for name in sorted(new)])
            return inserting.insert(connection, units, now)

        results = await self._connections.write(work, sum(len(unit.jobs) for unit in units))
        self._declared |= new
        return results

    async def claim(self, request: ClaimRequest, now: datetime) -> list[ClaimedJob]:
        """See ``Store.claim``."""
        if not request.types:
            return []
        if request.ids is None:
            return await self._scan(request, now)
        return await self._claim(request, request.ids, now) if request.ids else []

    async def _claim(self, request: ClaimRequest, ids: Sequence[JobId], now: datetime) -> list[ClaimedJob]:
        return await self._connections.write(
            lambda connection: claiming.claim(connection, request, ids, now), request.limit
        )

    async def _scan(self, request: ClaimRequest, now: datetime) -> list[ClaimedJob]:
        """Look first, so that a look which finds nothing takes no write lock.

        In a line that was long at the last look, look and claim in one go: that saves the way to a reader, and the
        claim shares a turn with what waits to be settled.
        """
        self._turn += 1
        turn = self._turn
        if self._is_long:
            claimed = await self._connections.write(
                lambda connection: claiming.claim_next(connection, request, turn, now), request.limit
            )
            self._is_long = len(claimed) == request.limit
            return claimed
        ids = await self._connections.read(lambda connection: reading.ready_ids(connection, request, turn))
        self._is_long = len(ids) == request.limit
        return await self._claim(request, ids, now) if ids else []

    async def settle(self, moves: Sequence[Move], now: datetime) -> list[Settled]:
        """See ``Store.settle``."""
        return await self._connections.write(lambda connection: settling.settle(connection, moves, now), len(moves))

    async def note(self, notes: Sequence[Note], now: datetime) -> list[bool]:
        """See ``Store.note``."""
        return await self._connections.write(lambda connection: writing.note(connection, notes, now), len(notes))

    async def promote_due(self, limit: int, now: datetime) -> Promoted:
        """See ``Store.promote_due``. Reads first: most looks find nothing due."""
        next_due = await self._connections.read(lambda connection: connection.execute(SQL["next_due"]).fetchone()[0])
        if next_due is None or next_due > to_micros(now):
            return Promoted((), None if next_due is None else moment(next_due))
        return await self._connections.write(lambda connection: writing.promote_due(connection, limit, now), limit)

    async def operate(self, verb: Verb, ids: Sequence[JobId], now: datetime) -> list[Operated]:
        """See ``Store.operate``."""
        return await self._connections.write(lambda connection: writing.operate(connection, verb, ids, now), len(ids))

    async def delete(self, ids: Sequence[JobId]) -> list[Operated]:
        """See ``Store.delete``."""
        return await self._connections.write(lambda connection: writing.delete(connection, ids), len(ids))

    async def erase(self, ids: Sequence[JobId], now: datetime) -> list[Operated]:
        """See ``Store.erase``."""
        return await self._connections.write(lambda connection: writing.erase(connection, ids, now), len(ids))

    async def register_worker(self, worker: WorkerRecord) -> None:
        """See ``Store.register_worker``."""
        await self._connections.write(
            lambda connection: connection.execute(SQL["register_worker"], worker_parameters(worker))
        )

    async def beat(
        self, worker_id: WorkerId, running: int, now: datetime, ids: Sequence[JobId] | None = None
    ) -> list[HeldJob] | None:
        """See ``Store.beat``."""
        parameters = {"worker_id": worker_id, "running": running, "now": to_micros(now)}

        def work(connection: sqlite3.Connection) -> list[HeldJob] | None:
            if connection.execute(SQL["beat"], parameters).rowcount == 0:
                return None
            if ids is None:
                rows = connection.execute(SQL["held"], {"worker_id": worker_id})
            else:
                rows = connection.execute(SQL["held_ids"], {"worker_id": worker_id, "ids": json_list(ids)})
            return [HeldJob(JobId(row["id"]), row["attempt"], bool(row["cancel_requested"])) for row in rows]

        return await self._connections.write(work)

    async def end_worker(self, worker_id: WorkerId, beat: int | None, now: datetime) -> bool:
        """See ``Store.end_worker``."""
        parameters = {"worker_id": worker_id, "beat": beat, "now": to_micros(now)}
        return await self._connections.write(
            lambda connection: connection.execute(SQL["end_worker"], parameters).rowcount == 1
        )

    async def workers(self) -> list[WorkerRecord]:
        """See ``Store.workers``."""
        return await self._connections.read(
            lambda connection: [worker_record(row) for row in connection.execute(SQL["workers"])]
        )

    async def beats(self) -> list[tuple[WorkerId, int]]:
        """See ``Store.beats``."""
        await self.ping()
        return [(worker.id, worker.beat) for worker in await self.workers()]

    async def orphans(self, limit: int) -> list[Orphan]:
        """See ``Store.orphans``."""
        return await self._connections.read(
            lambda connection: [orphan(row) for row in connection.execute(SQL["orphans"], {"limit": limit})]
        )

    async def get(self, ids: Sequence[JobId], *, payload: bool = False) -> dict[JobId, StoredJob]:
        """See ``Store.get``."""
        return await self._connections.read(lambda connection: reading.get(connection, ids, payload))

    async def statuses(self, ids: Sequence[JobId]) -> dict[JobId, Status]:
        """See ``Store.statuses``."""
        return await self._connections.read(lambda connection: reading.statuses(connection, ids))

    async def page(self, wanted: JobFilter, below: JobId | None, limit: int) -> Page:
        """See ``Store.page``."""
        return await self._connections.read(lambda connection: reading.page(connection, wanted, below, limit))

    async def counts(self) -> dict[Status, int]:
        """See ``Store.counts``."""
        return await self._connections.read(reading.counts)

    async def queues(self) -> list[QueueRecord]:
        """See ``Store.queues``."""
        return await self._connections.read(reading.queues)

    async def queue_names(self) -> list[str]:
        """See ``Store.queue_names``."""
        return await self._connections.read(
            lambda connection: [str(row["name"]) for row in connection.execute(SQL["queue_names"])]
        )

    async def declare_queues(self, names: Sequence[str]) -> None:
        """See ``Store.declare_queues``."""
        await self._connections.write(
            lambda connection: connection.executemany(SQL["declare_queue"], [{"name": name} for name in names])
        )

    async def set_paused(self, name: str, paused_at: datetime | None) -> bool:
        """See ``Store.set_paused``."""
        parameters = {"name": name, "paused_at": to_micros_or_none(paused_at)}
        return await self._connections.write(
            lambda connection: connection.execute(SQL["set_paused"], parameters).rowcount == 1
        )

    async def publish_types(self, types: Sequence[PublishedType], now: datetime) -> None:
        """See ``Store.publish_types``. A transaction that changes nothing writes nothing."""
        await self._connections.write(lambda connection: writing.publish_types(connection, types, now))

    async def types(self) -> list[PublishedType]:
        """See ``Store.types``."""
        return await self._connections.read(
            lambda connection: [published_type(row) for row in connection.execute(SQL["types"])]
        )

    async def check(self, names: Sequence[str], before: datetime, limit: int) -> dict[str, list[str]]:
        """See ``Store.check``."""
        return await self._connections.read(lambda connection: checking.check(connection, names, before, limit))

    async def prune(self, expiries: Sequence[Expiry], limit: int, now: datetime) -> dict[Status, int]:
        """See ``Store.prune``."""
        return await self._connections.write(lambda connection: writing.prune(connection, expiries, limit, now), limit)


def _migrate(connection: sqlite3.Connection, migrate: bool) -> None:
    """Bring the schema up to date inside one transaction: two processes that start at once take turns."""
    try:
        _refuse_others(connection)
        [at] = connection.execute("PRAGMA user_version").fetchone()
        for migration in pending(read_migrations("treadle.store.sqlite.migrations"), at, migrate=migrate):
            for statement in _statements(migration.sql):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {migration.number:d}")
    except sqlite3.DatabaseError as error:
        # What is damaged, or holds another program's tables, will not be better at the next attempt.
        if primary_code(error) in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise StoreRefused(f"the database cannot be brought up to date: {error}") from error
        raise


def _refuse_others(connection: sqlite3.Connection) -> None:
    """A file with tables and none of ours is another program's, whatever its names and its version number."""
    tables = [row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    if tables and "idempotency_keys" not in tables:
        raise StoreRefused(f"the database holds another program's tables ({', '.join(tables[:5])}): name another file")


def _statements(sql: str) -> list[str]:
    """Single statements: ``executescript`` would commit the transaction we are in."""
    statements: list[str] = []
    text = ""
    for line in sql.splitlines():
        text += line + "\n"
        if sqlite3.complete_statement(text):
            statements.append(text)
            text = ""
    return statements


def _anchor(connection: sqlite3.Connection) -> Anchor:
    boot = boot_id()
    found = connection.execute(SQL["get_clock"]).fetchone()
    if found is None or found["boot"] != boot:
        anchor = Anchor(wall_now(), rising_seconds())
        parameters = {"boot": boot, "wall": to_micros(anchor.wall), "rising": anchor.rising}
        connection.execute(SQL["put_clock"], parameters)
        return anchor
    return Anchor(moment(found["wall"]), found["rising"])
