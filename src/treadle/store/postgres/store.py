"""``PostgresStore``: the store of many machines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from treadle.clock import Anchor, rising_seconds
from treadle.errors import OutcomeUnknown, Unavailable
from treadle.ids import JobId, WorkerId
from treadle.job import ClaimedJob, Orphan, StoredJob
from treadle.states import Status, Verb
from treadle.store.postgres import checking, reading, writing
from treadle.store.postgres.connection import Connections
from treadle.store.postgres.depths import Depths
from treadle.store.postgres.faults import CONNECTION_FAULTS, is_lost, refusal
from treadle.store.postgres.orphans import Orphans
from treadle.store.postgres.pruning import Pruning
from treadle.store.postgres.rows import Row, claimed_job, job_id, published_type, stored_job, worker_record
from treadle.store.postgres.scanning import Scanning
from treadle.store.postgres.schema import bring_up_to_date, check_server
from treadle.store.postgres.statement import SQL
from treadle.store.postgres.statistics import Statistics
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
from treadle.telemetry.metrics import Metrics

ANCHOR_TRIES = 3
ANCHOR_SECONDS = 0.05
"""An answer within this is good enough: nothing else that is told in seconds is as exact."""


class PostgresStore:
    """Implements ``Store`` on one PostgreSQL database, which any number of processes may share.

    ``address``: a libpq URI. ``pgbouncer``: it is a PgBouncer in transaction mode. ``accept_loss``: run on a server
    that does not flush what it commits.
    """

    def __init__(
        self, address: str, *, pgbouncer: bool = False, accept_loss: bool = False, metrics: Metrics | None = None
    ) -> None:
        self._connections = Connections(address, pgbouncer=pgbouncer, metrics=metrics)
        self._accept_loss = accept_loss
        self._declared: set[str] = set()
        self._scanning = Scanning(self._connections)
        self._depths = Depths(self._connections)
        self._orphans = Orphans(self._connections)
        self._pruning = Pruning(self._connections)
        self._statistics = Statistics(self._connections)

    async def open(self, *, migrate: bool) -> None:
        """See ``Store.open``. Raises ``Unavailable`` where no server answers yet: it may be asked again."""
        connection = await self._connections.connect()
        try:
            await check_server(connection, accept_loss=self._accept_loss)
            await bring_up_to_date(connection, migrate=migrate)
        except CONNECTION_FAULTS as error:
            if is_lost(connection, error):
                raise Unavailable("the connection to the database was lost") from error
            raise refusal(error) from error
        finally:
            connection.terminate()
        self._connections.opened()

    async def aclose(self) -> None:
        """See ``Store.aclose``."""
        await self._connections.aclose()
        await self._statistics.aclose()

    async def ping(self) -> None:
        """See ``Store.ping``: a server that only reads says so."""
        _refuse_read_only(await self._connections.read(SQL["ping"], {}))

    async def anchor(self) -> Anchor:
        """See ``Store.anchor``: the server's clock, as of the arrival of its answer, and so never ahead of it.

        Asked again where the answer took long: by so much the anchor is behind.
        """
        answers: list[tuple[float, Anchor]] = []
        while len(answers) < ANCHOR_TRIES and not (answers and answers[-1][0] < ANCHOR_SECONDS):
            asked = rising_seconds()
            [row] = await self._connections.read(SQL["anchor"], {})
            answered = rising_seconds()
            answers.append((answered - asked, Anchor(row["wall"], answered)))
        return min(answers, key=lambda answer: answer[0])[1]

    async def changes(self) -> int:
        """See ``Store.changes``. Always the same: no cheap number tells here; who waits for others' work scans."""
        return 0

    async def insert(self, units: Sequence[Submission], now: datetime) -> list[InsertResult]:
        """See ``Store.insert``."""
        if not units:
            return []
        named = {job.queue for unit in units for job in unit.jobs}
        new = sorted(named - self._declared)
        if any(unit.key is not None for unit in units):
            kept = await self._connections.write(SQL["insert_keyed"], writing.keyed_insert_values(units, new, now))
        else:
            kept = await self._connections.write(SQL["insert"], writing.insert_values(units, new, now))
        self._declared |= named
        self._statistics.inserted(sum(len(unit.jobs) for unit in units))
        return writing.insert_results(units, kept)

    async def claim(self, request: ClaimRequest, now: datetime) -> list[ClaimedJob]:
        """See ``Store.claim``."""
        if not request.types:
            return []
        if request.ids is None:
            return await self._scanning.claim(request, now)
        ids = list(dict.fromkeys(request.ids))[: request.limit]
        if not ids:
            return []
        values = {
            "ids": ids,
            "types": request.types,
            "queues": request.queues,
            "worker_id": request.worker_id,
            "now": now,
        }
        rows = await self._connections.write(SQL["claim"], values)
        claimed = {job.id: job for job in (claimed_job(row, now) for row in rows)}
        return [claimed[asked] for asked in ids if asked in claimed]

    async def settle(self, moves: Sequence[Move], now: datetime) -> list[Settled]:
        """See ``Store.settle``."""
        if not moves:
            return []
        standing: dict[JobId, Row] = {}
        if writing.only_complete(moves):
            sent = writing.first_of_each(moves)
            made = await self._connections.change(SQL["complete"], writing.complete_values(sent, now))
            if made == len(sent):
                return writing.completed(moves)
        else:
            rows = await self._connections.write(SQL["settle"], writing.settle_values(moves, now))
            standing = {job_id(row): row for row in rows}
        unmoved = [move.job_id for move in moves if move.job_id not in standing]
        if unmoved:
            try:
                rows = await self._connections.read(SQL["settled"], {"ids": unmoved})
            except Unavailable as error:
                raise OutcomeUnknown("what became of a batch could not be read") from error
            standing |= {job_id(row): row for row in rows}
        return [writing.settled(move, standing.get(move.job_id)) for move in moves]

    async def note(self, notes: Sequence[Note], now: datetime) -> list[bool]:
        """See ``Store.note``."""
        if not notes:
            return []
        rows = await self._connections.write(SQL["note"], writing.note_values(notes, now))
        written = {(job_id(row), row["attempts"]) for row in rows}
        return [(note.job_id, note.attempt) in written for note in notes]

    async def promote_due(self, limit: int, now: datetime) -> Promoted:
        """See ``Store.promote_due``. Most looks find nothing due: they change nothing, and need no plan made."""
        self._depths.told(now)
        next_due = await self._connections.read(SQL["next_due"], {})
        if not next_due or next_due[0]["run_at"] > now:
            return Promoted((), next_due[0]["run_at"] if next_due else None)
        return writing.promoted(await self._connections.write(SQL["promote_due"], {"limit": limit, "now": now}))

    async def operate(self, verb: Verb, ids: Sequence[JobId], now: datetime) -> list[Operated]:
        """See ``Store.operate``."""
        values = writing.operate_values(verb, ids, now)
        rows = await self._connections.write(SQL[verb.value], values) if ids else []
        return writing.operated(verb, ids, rows)

    async def delete(self, ids: Sequence[JobId]) -> list[Operated]:
        """See ``Store.delete``."""
        rows = await self._connections.write(SQL["delete"], writing.delete_values(ids)) if ids else []
        return writing.deleted(ids, rows)

    async def erase(self, ids: Sequence[JobId], now: datetime) -> list[Operated]:
        """See ``Store.erase``: the old text stays in the server's files until its next vacuum, and in its WAL."""
        rows = await self._connections.write(SQL["erase"], writing.erase_values(ids, now)) if ids else []
        return writing.erased(ids, rows)

    async def register_worker(self, worker: WorkerRecord) -> None:
        """See ``Store.register_worker``. Who has a lease has a connection for its beats from then on."""
        values = {name: getattr(worker, name) for name in SQL["register_worker"].parameters}
        await self._connections.write_lease(SQL["register_worker"], values)

    async def beat(
        self, worker_id: WorkerId, running: int, now: datetime, ids: Sequence[JobId] | None = None
    ) -> list[HeldJob] | None:
        """See ``Store.beat``."""
        values: dict[str, object] = {"worker_id": worker_id, "running": running, "now": now}
        if ids is None:
            rows = await self._connections.write_lease(SQL["beat"], values)
        else:
            rows = await self._connections.write_lease(SQL["beat_ids"], values | {"ids": ids})
        if not rows:
            return None
        return [HeldJob(job_id(row), row["attempts"], row["cancel_requested"]) for row in rows if row["id"] is not None]

    async def end_worker(self, worker_id: WorkerId, beat: int | None, now: datetime) -> bool:
        """See ``Store.end_worker``."""
        values = {"worker_id": worker_id, "beat": beat, "now": now}
        return bool(await self._connections.write(SQL["end_worker"], values))

    async def workers(self) -> list[WorkerRecord]:
        """See ``Store.workers``."""
        return [worker_record(row) for row in await self._connections.read(SQL["workers"], {})]

    async def beats(self) -> list[tuple[WorkerId, int]]:
        """See ``Store.beats``."""
        rows = await self._connections.read(SQL["beats"], {})
        _refuse_read_only(rows)
        return [(WorkerId(str(row["id"])), row["beat"]) for row in rows]

    async def orphans(self, limit: int) -> list[Orphan]:
        """See ``Store.orphans``."""
        return await self._orphans.find(limit)

    async def get(self, ids: Sequence[JobId], *, payload: bool = False) -> dict[JobId, StoredJob]:
        """See ``Store.get``."""
        rows = await self._connections.read(SQL["get"], {"ids": ids, "payload": payload}) if ids else []
        jobs = (stored_job(row, payload=payload) for row in rows)
        return {job.id: job for job in jobs}

    async def statuses(self, ids: Sequence[JobId]) -> dict[JobId, Status]:
        """See ``Store.statuses``."""
        rows = await self._connections.read(SQL["statuses"], {"ids": ids}) if ids else []
        return {job_id(row): Status(row["status"]) for row in rows}

    async def page(self, wanted: JobFilter, below: JobId | None, limit: int) -> Page:
        """See ``Store.page``."""
        ids, next_cursor = await reading.page_ids(self._connections, wanted, below, limit)
        found = await self.get(ids)
        jobs = (found[job_id] for job_id in ids if job_id in found)
        # Read a moment later: what has left its status, or the table, since then is no longer asked for.
        return Page(tuple(job for job in jobs if reading.is_wanted(job, wanted)), next_cursor)

    async def counts(self) -> dict[Status, int]:
        """See ``Store.counts``."""
        return await self._depths.counts()

    async def queues(self) -> list[QueueRecord]:
        """See ``Store.queues``."""
        return await self._depths.queues()

    async def queue_names(self) -> list[str]:
        """See ``Store.queue_names``."""
        return [row["name"] for row in await self._connections.read(SQL["queue_names"], {})]

    async def declare_queues(self, names: Sequence[str]) -> None:
        """See ``Store.declare_queues``."""
        if names:
            await self._connections.write(SQL["declare_queues"], {"names": sorted(set(names))})

    async def set_paused(self, name: str, paused_at: datetime | None) -> bool:
        """See ``Store.set_paused``."""
        return bool(await self._connections.write(SQL["set_paused"], {"name": name, "paused_at": paused_at}))

    async def publish_types(self, types: Sequence[PublishedType], now: datetime) -> None:
        """See ``Store.publish_types``."""
        if types:
            await self._connections.write(SQL["publish_types"], writing.publish_values(types, now))

    async def types(self) -> list[PublishedType]:
        """See ``Store.types``."""
        return [published_type(row) for row in await self._connections.read(SQL["types"], {})]

    async def check(self, names: Sequence[str], before: datetime, limit: int) -> dict[str, list[str]]:
        """See ``Store.check``."""
        return await checking.check(self._connections, names, before, limit)

    async def prune(self, expiries: Sequence[Expiry], limit: int, now: datetime) -> dict[Status, int]:
        """See ``Store.prune``."""
        return await self._pruning.prune(expiries, limit, now)


def _refuse_read_only(rows: Sequence[Row]) -> None:
    if any(row["is_read_only"] == "on" for row in rows):
        raise Unavailable("the database is read-only: a standby, or default_transaction_read_only is on")
