"""What every store must do, and the records that go in and out. Backends are written from these lines.

Laws, tested by ``tests/conformance/store`` on every backend:

S1  Every method that writes takes a batch and is one transaction: all of it or nothing.
S2  Every write that moves a ``processing`` job names its attempt and changes nothing where that is past.
S3  A refused move is reported for its own job; it never fails its neighbours.
S4  Sent twice with the same ids, a write has the effect of once.
S5  ``now`` is an argument; a store reads no clock but in ``anchor``.
S6  Data the database refuses raises ``Unstorable``, nothing of the batch written. No answer raises
    ``Unavailable`` (surely not done) or ``OutcomeUnknown`` (perhaps done).
S7  Ready order is ``(queued_at, id)`` inside a line (one priority of one queue); every ``high`` line comes before
    every ``default`` line, and queues take turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from treadle.clock import Anchor
from treadle.ids import JobId, WorkerId
from treadle.job import AttemptError, ClaimedJob, NewJob, Orphan, StoredJob
from treadle.queue import Priority
from treadle.retry import Backoff
from treadle.states import Status, Verb


class IdempotencyKey(msgspec.Struct, frozen=True):
    """A client's key: unique within ``scope`` (an API key's name) until ``expires_at``."""

    scope: str
    key: str
    fingerprint: bytes
    """SHA-256 of the canonical body."""
    expires_at: datetime


class Submission(msgspec.Struct, frozen=True):
    """One request: the unit of atomicity of ``insert``."""

    jobs: tuple[NewJob, ...]
    key: IdempotencyKey | None = None


class Inserted(msgspec.Struct, frozen=True):
    """The unit's jobs are rows now (or were, from an earlier sending of the same ids)."""

    ids: tuple[JobId, ...]


class Replayed(msgspec.Struct, frozen=True):
    """The key was used before with this body; these are the jobs it made then."""

    ids: tuple[JobId, ...]


class KeyClash(msgspec.Struct, frozen=True):
    """The key was used before with another body; nothing was inserted."""


InsertResult = Inserted | Replayed | KeyClash


class ClaimRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``ids``: claim those of them that are ready; ``None``: scan in ready order."""

    worker_id: WorkerId
    limit: int
    types: Sequence[str]
    queues: Sequence[str] | None = None
    """Queues to take from, in turns (S7); ``None`` for all."""
    ids: Sequence[JobId] | None = None


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One end of one attempt. Target and extra effects follow from ``verb`` (see ``states``)."""

    job_id: JobId
    attempt: int
    verb: Verb
    failures: int = 0
    """Added to the job's failures."""
    crashes: int = 0
    """Added to the job's crashes."""
    run_at: datetime | None = None
    """When to run again; ``retry`` and ``snooze`` only."""
    result: bytes | None = None
    error: str | None = None
    failure: AttemptError | None = None
    """Appended to the job's errors (the last 25 are kept)."""
    artifacts: bytes | None = None
    """JSON array of the attempt's published files; ``complete`` only."""
    progress: bytes | None = None
    """The attempt's newest progress; ``None`` leaves what is there."""
    type: str | None = None
    """Of the job, like ``queue`` and ``priority``, where the caller knows all three: they need not be read again."""
    queue: str | None = None
    priority: Priority | None = None


class Settled(msgspec.Struct, frozen=True):
    """What became of a move. ``status`` is where the job stands by it; ``None``: refused, the attempt is past."""

    job_id: JobId
    status: Status | None
    type: str | None = None
    queue: str | None = None
    priority: Priority | None = None


class Note(msgspec.Struct, frozen=True):
    """Progress or a checkpoint of a running attempt; ``None`` leaves what is there."""

    job_id: JobId
    attempt: int
    progress: bytes | None = None
    checkpoint: bytes | None = None


class Hint(msgspec.Struct, frozen=True):
    """A job that became ready, for whoever announces it."""

    job_id: JobId
    queue: str
    priority: Priority


class Promoted(msgspec.Struct, frozen=True):
    """Jobs that became ready, and when the next one is due (``None``: none is waiting)."""

    hints: tuple[Hint, ...]
    next_run_at: datetime | None


class WorkerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One worker process: its lease row."""

    id: WorkerId
    host: str
    pid: int
    version: str
    queues: tuple[str, ...]
    concurrency: int
    running: int
    beat: int
    started_at: datetime
    beat_at: datetime
    """For people; leases expire by watching ``beat``, never by this."""
    ended_at: datetime | None


class HeldJob(msgspec.Struct, frozen=True):
    """One row that points to a worker."""

    job_id: JobId
    attempt: int
    cancel_requested: bool


class Operated(msgspec.Struct, frozen=True):
    """What an operator's verb did to one job. ``before`` is ``None`` for an unknown id; ``after`` where refused."""

    job_id: JobId
    before: Status | None
    after: Status | None
    type: str | None = None
    queue: str | None = None
    priority: Priority | None = None


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """``None`` means any."""

    statuses: tuple[Status, ...] | None = None
    type: str | None = None
    queue: str | None = None
    priority: Priority | None = None


class Page(msgspec.Struct, frozen=True):
    """Newest first. ``next_cursor`` is the id to go on below; a page may be short and still have one."""

    jobs: tuple[StoredJob, ...]
    next_cursor: JobId | None


class QueueRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One queue as it stands. Depths are counted up to ``COUNT_CAP``."""

    name: str
    paused_at: datetime | None
    high: int
    default: int
    processing: int
    oldest_high_at: datetime | None
    oldest_default_at: datetime | None

    @property
    def oldest_queued_at(self) -> datetime | None:
        """When the one that waits longest became ready, whatever its priority."""
        return min((at for at in (self.oldest_high_at, self.oldest_default_at) if at is not None), default=None)


class PublishedType(msgspec.Struct, frozen=True, kw_only=True):
    """A job type as a process that has its code told it to all others."""

    name: str
    queue: str
    max_attempts: int
    max_crashes: int
    timeout_seconds: float
    backoff: Backoff
    """Scaled by the publisher's settings, for who has the table and no settings: SQL."""
    own_backoff: Backoff
    """The type's own, for who scales it by settings of his own."""
    schema: str
    """The payload's JSON Schema."""
    published_at: datetime
    """When the publisher began; of two that differ the later one is right."""


class Expiry(msgspec.Struct, frozen=True):
    """Jobs in ``status`` that finished before ``before`` may go."""

    status: Status
    before: datetime


ERASED_TEXT = "erased by an operator"
"""What stands in the place of an error's words once a job was erased."""

COUNT_CAP = 10_000
"""Nothing is counted beyond this: an unbounded COUNT is what kills dashboards at a million rows."""

LATE_CLAIM_SECONDS = 30.0
"""So long after a lease ended a claim that saw it alive may still commit: 8 s for its statement, and 10 s until its
COMMIT comes through a PgBouncer."""

TYPE_REFRESH = timedelta(hours=1)
"""A type that stands as it is published is written again after this long: it was seen."""
TYPES_KEPT = timedelta(days=7)
"""A type that nobody has published for so long is gone. Until then its jobs are taken and wait: longer than a weekend
with every worker down, short enough that a type removed from the code is not accepted for ever."""


class Store(Protocol):
    """The contract. Every method may raise ``Unavailable``."""

    async def open(self, *, migrate: bool) -> None:
        """Connect, migrate (or refuse), and check durability. Raises ``StoreRefused``."""
        ...

    async def aclose(self) -> None:
        """Finish what was begun and let go."""
        ...

    async def ping(self) -> None:
        """Return when the store can be read and written."""
        ...

    async def anchor(self) -> Anchor:
        """The store's own time, as one moment on both clocks. The only method that reads a clock (S5)."""
        ...

    async def changes(self) -> int:
        """A number that differs from the last one when another process may have made work ready."""
        ...

    async def insert(self, units: Sequence[Submission], now: datetime) -> list[InsertResult]:
        """Insert every unit, each with its own answer, in order. Known ids are left as they are (S4)."""
        ...

    async def claim(self, request: ClaimRequest, now: datetime) -> list[ClaimedJob]:
        """Give ready jobs to a worker: attempt + 1. In ready order for a scan, at most ``limit``.

        Empty where the worker's lease is ended or absent. Jobs of paused queues, of types not named or of queues
        not served stay where they are.
        """
        ...

    async def settle(self, moves: Sequence[Move], now: datetime) -> list[Settled]:
        """End attempts (S2, S3, S4), in order. With a cancel requested, every verb but ``complete`` cancels.

        A move that finds its own attempt already in its target status is a success.
        """
        ...

    async def note(self, notes: Sequence[Note], now: datetime) -> list[bool]:
        """Write progress and checkpoints; ``False`` where the attempt is past (S2)."""
        ...

    async def promote_due(self, limit: int, now: datetime) -> Promoted:
        """Move jobs whose ``run_at`` has come to ``queued``, at most ``limit``, earliest first."""
        ...

    async def operate(self, verb: Verb, ids: Sequence[JobId], now: datetime) -> list[Operated]:
        """Cancel, requeue or bury for an operator, in order. ``cancel`` of a running job requests it.

        An erased job is not requeued.
        """
        ...

    async def delete(self, ids: Sequence[JobId]) -> list[Operated]:
        """Delete final jobs, each guarded by its status, in order; ``after`` is the status in which a job went.

        A job that is not final is refused and stays as it is. Files are no business of a store.
        """
        ...

    async def erase(self, ids: Sequence[JobId], now: datetime) -> list[Operated]:
        """Erase what final jobs were told and what they told, in order; ``after`` is the status, which stays.

        The payload becomes ``{}``; result, progress and checkpoint go; an error, and the message of every kept one,
        becomes ``ERASED_TEXT``, and its traceback goes. ``erased_at`` is the first time this was done (S4). From then
        on ``operate`` refuses to requeue the job: there is nothing left to run. The old text is gone from the
        database's own files too, as far as its engine can promise that.
        """
        ...

    async def register_worker(self, worker: WorkerRecord) -> None:
        """Insert the lease row of a starting worker."""
        ...

    async def beat(
        self, worker_id: WorkerId, running: int, now: datetime, ids: Sequence[JobId] | None = None
    ) -> list[HeldJob] | None:
        """Raise the counter of a lease that has not ended, and tell which jobs point to it; ``None``: ended.

        ``ids``: look at those alone, which costs the same however much has run; ``None``: tell all there are.
        """
        ...

    async def end_worker(self, worker_id: WorkerId, beat: int | None, now: datetime) -> bool:
        """End a lease, if its counter still stands at ``beat`` (``None``: whatever it is). True where this did it."""
        ...

    async def workers(self) -> list[WorkerRecord]:
        """All leases that have not ended."""
        ...

    async def beats(self) -> list[tuple[WorkerId, int]]:
        """The counter of every lease that has not ended, from a store that takes writes at this moment.

        A database that can be read and not written (a full disk, a standby) would show counters that stand still:
        nobody can beat, and nobody is to be declared dead for it. Raises ``Unavailable`` there.
        """
        ...

    async def orphans(self, limit: int) -> list[Orphan]:
        """``processing`` jobs whose lease is ended or absent, at most ``limit``.

        Absent ones may be seen minutes later: no lease's row goes while a job points to it.
        """
        ...

    async def get(self, ids: Sequence[JobId], *, payload: bool = False) -> dict[JobId, StoredJob]:
        """Those of ``ids`` that exist."""
        ...

    async def statuses(self, ids: Sequence[JobId]) -> dict[JobId, Status]:
        """The status of those of ``ids`` that exist: the cheap read behind waiting."""
        ...

    async def page(self, wanted: JobFilter, below: JobId | None, limit: int) -> Page:
        """Jobs with ids below ``below``, newest first; what no index helps with is sought in a bounded window."""
        ...

    async def counts(self) -> dict[Status, int]:
        """Jobs by status, each counted up to ``COUNT_CAP``; of what runs and what is completed perhaps a little ago."""
        ...

    async def queues(self) -> list[QueueRecord]:
        """Every queue that was declared or holds unfinished jobs, by name; what runs perhaps as it was a little ago."""
        ...

    async def queue_names(self) -> list[str]:
        """The names alone of every declared queue, sorted: cheap enough to be asked every few seconds."""
        ...

    async def declare_queues(self, names: Sequence[str]) -> None:
        """Make queue names known; known ones stay as they are."""
        ...

    async def set_paused(self, name: str, paused_at: datetime | None) -> bool:
        """Pause (a moment) or resume (``None``) a declared queue; ``False`` where there is none of that name."""
        ...

    async def publish_types(self, types: Sequence[PublishedType], now: datetime) -> None:
        """Make types known to all processes. Of two that differ the later ``published_at`` stays.

        One that stands there already is written again, as seen, only where that is ``TYPE_REFRESH`` ago.
        """
        ...

    async def types(self) -> list[PublishedType]:
        """Every published type, by name."""
        ...

    async def check(self, names: Sequence[str], before: datetime, limit: int) -> dict[str, list[str]]:
        """What violates the named invariants (``store/invariants``): subjects, at most ``limit`` each; {} is well.

        Reads only. ``before``: a lease that last beat before it should have been ended by now, and a job that was due
        before it should have been promoted. Raises ``KeyError`` for a name there is none of.
        """
        ...

    async def prune(self, expiries: Sequence[Expiry], limit: int, now: datetime) -> dict[Status, int]:
        """Delete at most ``limit`` expired jobs, expired keys, long-ended leases, types not seen for ``TYPES_KEPT``.

        How many jobs of each status went.
        """
        ...
