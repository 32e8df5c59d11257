"""Submit: requests become rows, many requests a commit. A returned id is committed and flushed to disk."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from treadle.batching import GroupCommit
from treadle.errors import InvalidInput, KeyInFlight, KeyReused, Problem
from treadle.failpoints import hit
from treadle.ids import JobId, new_job_id
from treadle.job import DEFAULT_TIMEOUT_SECONDS, JobRequest, NewJob
from treadle.queue import DEFAULT_QUEUE, Priority
from treadle.retry import Backoff, Retry
from treadle.schema import model_for
from treadle.service.catalogue import KnownType
from treadle.service.runtime import Runtime
from treadle.store.protocol import IdempotencyKey, InsertResult, KeyClash, Replayed, Submission
from treadle.telemetry.meters import OTHER
from treadle.telemetry.metrics import SUBMITTED

KEY_LIFETIME = timedelta(hours=24)
"""As draft-ietf-httpapi-idempotency-key-header leaves to the server and Stripe publishes."""

SUBMIT_TIMEOUT_SECONDS = 10.0
MAX_REPORTED_PROBLEMS = 100
_UNKNOWN = KnownType(
    name="",
    queue=DEFAULT_QUEUE,
    max_attempts=Retry().attempts,
    max_crashes=Retry().crashes,
    timeout_seconds=DEFAULT_TIMEOUT_SECONDS,
    own_backoff=Backoff(),
    model=model_for(dict),
    is_own=False,
)
"""The policy of a type that nobody knows, which only lenient validation takes."""
_NOT_INSERTED = (KeyClash, Replayed)
LARGE_BYTES = 128 * 1024
"""Checking more than this takes milliseconds: it is done beside the loop, where others' requests go on."""


@dataclass(frozen=True, slots=True)
class ClientKey:
    """An idempotency key as a client sent it: who it belongs to, its text, and its body's ``fingerprint``."""

    scope: str
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Submitted:
    """The ids in the requests' order; ``replayed``: an earlier request with the same key made them."""

    ids: tuple[JobId, ...]
    replayed: bool = False


class Submitter:
    """Takes requests of one process and commits them in groups."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._group: GroupCommit[Submission, InsertResult] = GroupCommit(self._insert, resending=self._count_resending)
        # Requests with a key go in statements of their own: a lock on a key must not hold up the rest.
        self._keyed_group: GroupCommit[Submission, InsertResult] = GroupCommit(
            self._insert, resending=self._count_resending
        )
        self._keys_in_flight: set[tuple[str, str]] = set()

    async def submit(
        self, requests: Sequence[JobRequest], key: ClientKey | None = None, *, pointer: str | None = None
    ) -> Submitted:
        """Make all ``requests`` jobs, or none. One request is one unit.

        ``pointer``: where the requests stand in the caller's document, as in ``/jobs``; ``None`` where it is the
        one request itself. Raises ``InvalidInput`` with every problem of every request, ``KeyReused``,
        ``KeyInFlight``, ``Overloaded``, ``Unavailable``, ``Unstorable``.
        """
        if self._may_be_others(requests):
            await self._look_up(requests)
        now = self._runtime.clock.now()
        size_bytes = sum(len(request.payload or b"") for request in requests)
        if size_bytes > LARGE_BYTES:
            jobs = await asyncio.to_thread(self._resolve_all, requests, now, pointer)
        else:
            jobs = self._resolve_all(requests, now, pointer)
        unit = Submission(jobs, _stored_key(key, now))
        if unit.key is None:
            result = await self._group.submit(unit, size_bytes, timeout_seconds=SUBMIT_TIMEOUT_SECONDS)
        else:
            result = await self._submit_keyed(unit, unit.key, size_bytes)
        if isinstance(result, KeyClash):
            raise KeyReused("this Idempotency-Key was used with another body")
        return Submitted(result.ids, replayed=isinstance(result, Replayed))

    def announce(self, queue: str, priority: Priority, job_id: JobId) -> None:
        """Hint at a job that somebody else's transaction has made ready."""
        self._runtime.dispatch.announce(queue, priority, [job_id])

    async def aclose(self) -> None:
        """Return when every accepted request is known."""
        await self._group.aclose()
        await self._keyed_group.aclose()

    async def _submit_keyed(self, unit: Submission, key: IdempotencyKey, size_bytes: int) -> InsertResult:
        name = (key.scope, key.key)
        if name in self._keys_in_flight:
            raise KeyInFlight("a request with this Idempotency-Key is being stored; ask again shortly")
        self._keys_in_flight.add(name)
        try:
            return await self._keyed_group.submit(unit, size_bytes, timeout_seconds=SUBMIT_TIMEOUT_SECONDS)
        finally:
            self._keys_in_flight.discard(name)

    async def _insert(self, units: Sequence[Submission]) -> Sequence[InsertResult]:
        runtime = self._runtime
        hit("api.before_commit")
        results = await runtime.store.insert(units, runtime.clock.now())
        hit("api.after_commit")
        lines: defaultdict[tuple[str, Priority], list[JobId]] = defaultdict(list)
        counts: defaultdict[tuple[str, str], int] = defaultdict(int)
        for unit, result in zip(units, results, strict=True):
            if isinstance(result, _NOT_INSERTED):
                continue
            for job in unit.jobs:
                counts[(job.type, job.queue)] += 1
                if job.run_at is None:
                    lines[(job.queue, job.priority)].append(job.id)
        # After the commit, never before: a worker that is told early finds no row and drops the hint.
        for (queue, priority), ids in lines.items():
            runtime.dispatch.announce(queue, priority, ids)
        if counts:  # not where all of them were there already
            self._count(counts)
        return results

    def _count(self, counts: Mapping[tuple[str, str], int]) -> None:
        metrics = self._runtime.metrics
        metrics.batch_items.observe(sum(counts.values()), "submit")
        for (type_name, queue), count in counts.items():
            is_known = self._runtime.catalogue.find(type_name) is not None
            metrics.jobs.add(count, type_name if is_known else OTHER, queue, SUBMITTED)

    def _count_resending(self) -> None:
        self._runtime.metrics.store_repeats.add(1, "unknown")

    def _may_be_others(self, requests: Sequence[JobRequest]) -> bool:
        """Whether a queue is named, or a type that is not this process's own: others may have published it."""
        own = self._runtime.registry
        for request in requests:
            if request.queue is not None or (request.type is not None and own.get(request.type) is None):
                return True
        return False

    async def _look_up(self, requests: Sequence[JobRequest]) -> None:
        types = {request.type for request in requests if request.type is not None}
        queues = {request.queue for request in requests if request.queue is not None}
        unknown = queues - known_queues(self._runtime) if queues else queues
        await self._runtime.catalogue.look_up(types, unknown)

    def _resolve_all(self, requests: Sequence[JobRequest], now: datetime, pointer: str | None) -> tuple[NewJob, ...]:
        jobs: list[NewJob] = []
        problems: list[Problem] = []
        for index, request in enumerate(requests):
            found: list[Problem] = list(request.problems)
            job = resolve(self._runtime, request, now, found)
            if job is not None and not found:
                jobs.append(job)
            elif len(problems) < MAX_REPORTED_PROBLEMS:
                root = f"{pointer}/{index}" if pointer is not None else ""
                problems += [Problem(root + p.pointer, p.code, p.detail) for p in found]
        if problems:
            raise InvalidInput(problems[:MAX_REPORTED_PROBLEMS])
        return tuple(jobs)


def resolve(runtime: Runtime, request: JobRequest, now: datetime, problems: list[Problem]) -> NewJob | None:
    """``request`` with its type's policy in it; adds to ``problems`` whatever stands against it."""
    known = runtime.catalogue.find(request.type) if request.type is not None else None
    if request.type is not None and known is None and runtime.settings.is_strict:
        problems.append(
            Problem("/type", "unknown_type", "no process has told of a job type of this name; GET /types lists them")
        )
    if request.payload is not None and known is not None and runtime.settings.is_strict:
        _check_payload(known, request.payload, problems)
    if request.queue is not None and request.queue not in known_queues(runtime):
        problems.append(Problem("/queue", "unknown_queue", "no job type, worker or setting names this queue"))
    if request.type is None or request.payload is None:
        return None
    policy = known or _UNKNOWN
    return NewJob(
        id=new_job_id(),
        type=request.type,
        queue=request.queue or policy.queue,
        priority=request.priority if request.priority is not None else Priority.DEFAULT,
        payload=request.payload,
        max_attempts=request.max_attempts or policy.max_attempts,
        max_crashes=policy.max_crashes,
        timeout_seconds=request.timeout_seconds or policy.timeout_seconds,
        backoff=policy.own_backoff.scaled(runtime.backoff_scale),
        run_at=_run_at(request, now),
        traceparent=request.traceparent,
    )


def known_queues(runtime: Runtime) -> frozenset[str]:
    """Queues that a type or a setting names."""
    return frozenset({DEFAULT_QUEUE, *runtime.settings.queues}) | runtime.catalogue.queues


def _check_payload(known: KnownType, payload: bytes, problems: list[Problem]) -> None:
    try:
        known.model.decode(payload)
    except InvalidInput as error:
        problems += [Problem(f"/payload{p.pointer}", p.code, p.detail) for p in error.problems]


def _run_at(request: JobRequest, now: datetime) -> datetime | None:
    """``None`` for what is due already: it is queued at once, not scheduled for the past."""
    if request.delay_seconds is not None:
        return now + timedelta(seconds=request.delay_seconds) if request.delay_seconds > 0 else None
    if request.run_at is not None and request.run_at > now:
        return request.run_at
    return None


def _stored_key(key: ClientKey | None, now: datetime) -> IdempotencyKey | None:
    if key is None:
        return None
    return IdempotencyKey(key.scope, key.key, key.fingerprint, now + KEY_LIFETIME)
