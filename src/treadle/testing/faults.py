"""Faults to order, around a real store and a real dispatch: what networks, disks and other people's Redis do.

A fault is ordered for named methods, for a number of calls or until it is healed, and strikes either before the
method (then nothing was done) or after it (then it was done, and the caller does not know).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from treadle.clock import Anchor
from treadle.dispatch.protocol import Dispatch
from treadle.errors import OutcomeUnknown, Unavailable
from treadle.ids import JobId, WorkerId
from treadle.job import ClaimedJob, Orphan, StoredJob
from treadle.queue import Priority
from treadle.states import Status, Verb
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
    Store,
    Submission,
    WorkerRecord,
)

Answer = TypeVar("Answer")

METHODS = frozenset(name for name in vars(Store) if not name.startswith("_"))
"""Every method of a store, by name."""


class Gate:
    """Where a held call stands: ``reached`` is set once one does, ``open`` lets it and all later ones through."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._opened = asyncio.Event()

    def open(self) -> None:
        """Let every call through, now and later."""
        self._opened.set()

    async def pass_through(self) -> None:
        """Stand here until it is opened."""
        self.reached.set()
        await self._opened.wait()


@dataclass(slots=True)
class _Fault:
    is_after: bool
    error: Exception | None
    gate: Gate | None
    left: int | None

    async def strike(self) -> None:
        if self.gate is not None:
            await self.gate.pass_through()
        if self.error is not None:
            raise self.error


class FaultyStore:
    """Implements ``Store`` by another one, with the faults that were ordered; without any it changes nothing.

    Several faults of one method strike one call after the other, in the order they were ordered. ``calls`` counts
    every call, the failed ones too.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._faults: dict[str, list[_Fault]] = {}
        self._gates: list[Gate] = []
        self.calls: Counter[str] = Counter()

    def refuse(self, *methods: str, times: int | None = None, error: Exception | None = None) -> None:
        """Raise ``error`` (default ``Unavailable``) and do nothing. No method named: all of them."""
        self._order(methods, _Fault(False, error or Unavailable("refused by order"), None, times))

    def lose_answer(self, *methods: str, times: int | None = None) -> None:
        """Do what was asked, then raise ``OutcomeUnknown``."""
        self._order(methods, _Fault(True, OutcomeUnknown("answer lost by order"), None, times))

    def hold(self, *methods: str, times: int | None = None) -> Gate:
        """Keep calls waiting before anything is done."""
        return self._hold(methods, False, times)

    def hold_answer(self, *methods: str, times: int | None = None) -> Gate:
        """Do what was asked, and keep the answer back."""
        return self._hold(methods, True, times)

    def heal(self, *methods: str) -> None:
        """Strike no longer, and open every gate (no method named: all of them)."""
        for method in methods or tuple(METHODS):
            for fault in self._faults.pop(method, ()):
                if fault.gate is not None:
                    fault.gate.open()
        if not methods:
            for gate in self._gates:
                gate.open()

    def _hold(self, methods: Sequence[str], is_after: bool, times: int | None) -> Gate:
        gate = Gate()
        self._gates.append(gate)
        self._order(methods, _Fault(is_after, None, gate, times))
        return gate

    def _order(self, methods: Sequence[str], fault: _Fault) -> None:
        for method in methods or sorted(METHODS):
            if method not in METHODS:
                raise ValueError(f"a store has no method {method!r}; it has {sorted(METHODS)}")
            own = _Fault(fault.is_after, fault.error, fault.gate, fault.left)
            self._faults.setdefault(method, []).append(own)

    def _next(self, method: str) -> _Fault | None:
        faults = self._faults.get(method, [])
        while faults and faults[0].left == 0:
            faults.pop(0)
        if not faults:
            return None
        if faults[0].left is not None:
            faults[0].left -= 1
        return faults[0]

    async def _through(self, method: str, call: Callable[[], Awaitable[Answer]]) -> Answer:
        self.calls[method] += 1
        fault = self._next(method)
        if fault is not None and not fault.is_after:
            await fault.strike()
        answer = await call()
        if fault is not None and fault.is_after:
            await fault.strike()
        return answer

    async def open(self, *, migrate: bool) -> None:
        """See ``Store.open``."""
        await self._through("open", lambda: self._store.open(migrate=migrate))

    async def aclose(self) -> None:
        """See ``Store.aclose``."""
        await self._through("aclose", self._store.aclose)

    async def ping(self) -> None:
        """See ``Store.ping``."""
        await self._through("ping", self._store.ping)

    async def anchor(self) -> Anchor:
        """See ``Store.anchor``."""
        return await self._through("anchor", self._store.anchor)

    async def changes(self) -> int:
        """See ``Store.changes``."""
        return await self._through("changes", self._store.changes)

    async def insert(self, units: Sequence[Submission], now: datetime) -> list[InsertResult]:
        """See ``Store.insert``."""
        return await self._through("insert", lambda: self._store.insert(units, now))

    async def claim(self, request: ClaimRequest, now: datetime) -> list[ClaimedJob]:
        """See ``Store.claim``."""
        return await self._through("claim", lambda: self._store.claim(request, now))

    async def settle(self, moves: Sequence[Move], now: datetime) -> list[Settled]:
        """See ``Store.settle``."""
        return await self._through("settle", lambda: self._store.settle(moves, now))

    async def note(self, notes: Sequence[Note], now: datetime) -> list[bool]:
        """See ``Store.note``."""
        return await self._through("note", lambda: self._store.note(notes, now))

    async def promote_due(self, limit: int, now: datetime) -> Promoted:
        """See ``Store.promote_due``."""
        return await self._through("promote_due", lambda: self._store.promote_due(limit, now))

    async def operate(self, verb: Verb, ids: Sequence[JobId], now: datetime) -> list[Operated]:
        """See ``Store.operate``."""
        return await self._through("operate", lambda: self._store.operate(verb, ids, now))

    async def delete(self, ids: Sequence[JobId]) -> list[Operated]:
        """See ``Store.delete``."""
        return await self._through("delete", lambda: self._store.delete(ids))

    async def erase(self, ids: Sequence[JobId], now: datetime) -> list[Operated]:
        """See ``Store.erase``."""
        return await self._through("erase", lambda: self._store.erase(ids, now))

    async def register_worker(self, worker: WorkerRecord) -> None:
        """See ``Store.register_worker``."""
        await self._through("register_worker", lambda: self._store.register_worker(worker))

    async def beat(
        self, worker_id: WorkerId, running: int, now: datetime, ids: Sequence[JobId] | None = None
    ) -> list[HeldJob] | None:
        """See ``Store.beat``."""
        return await self._through("beat", lambda: self._store.beat(worker_id, running, now, ids))

    async def end_worker(self, worker_id: WorkerId, beat: int | None, now: datetime) -> bool:
        """See ``Store.end_worker``."""
        return await self._through("end_worker", lambda: self._store.end_worker(worker_id, beat, now))

    async def workers(self) -> list[WorkerRecord]:
        """See ``Store.workers``."""
        return await self._through("workers", self._store.workers)

    async def beats(self) -> list[tuple[WorkerId, int]]:
        """See ``Store.beats``."""
        return await self._through("beats", self._store.beats)

    async def orphans(self, limit: int) -> list[Orphan]:
        """See ``Store.orphans``."""
        return await self._through("orphans", lambda: self._store.orphans(limit))

    async def get(self, ids: Sequence[JobId], *, payload: bool = False) -> dict[JobId, StoredJob]:
        """See ``Store.get``."""
        return await self._through("get", lambda: self._store.get(ids, payload=payload))

    async def statuses(self, ids: Sequence[JobId]) -> dict[JobId, Status]:
        """See ``Store.statuses``."""
        return await self._through("statuses", lambda: self._store.statuses(ids))

    async def page(self, wanted: JobFilter, below: JobId | None, limit: int) -> Page:
        """See ``Store.page``."""
        return await self._through("page", lambda: self._store.page(wanted, below, limit))

    async def counts(self) -> dict[Status, int]:
        """See ``Store.counts``."""
        return await self._through("counts", self._store.counts)

    async def queues(self) -> list[QueueRecord]:
        """See ``Store.queues``."""
        return await self._through("queues", self._store.queues)

    async def queue_names(self) -> list[str]:
        """See ``Store.queue_names``."""
        return await self._through("queue_names", self._store.queue_names)

    async def publish_types(self, types: Sequence[PublishedType], now: datetime) -> None:
        """See ``Store.publish_types``."""
        await self._through("publish_types", lambda: self._store.publish_types(types, now))

    async def types(self) -> list[PublishedType]:
        """See ``Store.types``."""
        return await self._through("types", self._store.types)

    async def declare_queues(self, names: Sequence[str]) -> None:
        """See ``Store.declare_queues``."""
        await self._through("declare_queues", lambda: self._store.declare_queues(names))

    async def set_paused(self, name: str, paused_at: datetime | None) -> bool:
        """See ``Store.set_paused``."""
        return await self._through("set_paused", lambda: self._store.set_paused(name, paused_at))

    async def check(self, names: Sequence[str], before: datetime, limit: int) -> dict[str, list[str]]:
        """See ``Store.check``."""
        return await self._through("check", lambda: self._store.check(names, before, limit))

    async def prune(self, expiries: Sequence[Expiry], limit: int, now: datetime) -> dict[Status, int]:
        """See ``Store.prune``."""
        return await self._through("prune", lambda: self._store.prune(expiries, limit, now))


class FaultyDispatch:
    """Implements ``Dispatch`` by another one that cannot be trusted.

    ``drops``: no hint arrives. ``copies``: each arrives that many times. ``invented``: every take brings these
    too, whatever it was asked for. ``take_error``, ``check_error``: every take, every check raises it. All may be
    changed at any time.
    """

    def __init__(
        self, dispatch: Dispatch, *, drops: bool = False, copies: int = 1, invented: Sequence[JobId] = ()
    ) -> None:
        self._dispatch = dispatch
        self.drops = drops
        self.copies = copies
        self.invented = invented
        self.take_error: Exception | None = None
        self.check_error: Exception | None = None
        self.announced: list[tuple[str, Priority, JobId]] = []
        """What was announced to it, dropped or not."""

    def announce(self, queue: str, priority: Priority, ids: Sequence[JobId]) -> None:
        """See ``Dispatch.announce``."""
        self.announced += [(queue, priority, job_id) for job_id in ids]
        if not self.drops:
            self._dispatch.announce(queue, priority, [*ids] * self.copies)

    async def take(self, queues: Sequence[str] | None, limit: int, timeout_seconds: float) -> list[JobId]:
        """See ``Dispatch.take``."""
        if self.take_error is not None:
            raise self.take_error
        return [*self.invented, *await self._dispatch.take(queues, limit, timeout_seconds)]

    async def check(self) -> None:
        """See ``Dispatch.check``."""
        if self.check_error is not None:
            raise self.check_error
        await self._dispatch.check()

    async def aclose(self) -> None:
        """See ``Dispatch.aclose``."""
        await self._dispatch.aclose()
