"""A job's steps through a store, each one call of the protocol, and the ways that lead to every status.

Every way is spelled out in calls: nothing here asks ``treadle.states`` what is allowed.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from tests.builders import NOW, a_move, a_new_job, a_submission, a_worker, an_attempt_error
from treadle.ids import JobId, WorkerId
from treadle.job import ClaimedJob, NewJob, StoredJob
from treadle.states import Status, Verb
from treadle.store.protocol import ClaimRequest, Move, Operated, Settled, Store

MICROSECOND = timedelta(microseconds=1)
TYPES = ("TEST",)


def at(seconds: float) -> datetime:
    """So many seconds after the moment at which tests take place."""
    return NOW + timedelta(seconds=seconds)


def an_id_at(moment: datetime, number: int = 0) -> JobId:
    """The id that a job submitted at ``moment`` gets (UUIDv7, RFC 9562); ``number`` tells those of one moment apart."""
    digits = f"{(moment - datetime.fromtimestamp(0, moment.tzinfo)) // timedelta(milliseconds=1):012x}"
    return JobId(f"{digits[:8]}-{digits[8:]}-7000-8000-{number:012x}")


async def insert(store: Store, *jobs: NewJob, now: datetime = NOW) -> list[JobId]:
    """All ``jobs`` as one request."""
    await store.insert([a_submission(*jobs)], now)
    return [job.id for job in jobs]


async def inserted(store: Store, *, now: datetime = NOW, **members: Any) -> JobId:
    """One job with ``members``."""
    [job_id] = await insert(store, a_new_job(**members), now=now)
    return job_id


async def claim(store: Store, worker_id: WorkerId, *ids: JobId, now: datetime = NOW, **wanted: Any) -> list[ClaimedJob]:
    """Claim ``ids``."""
    request = {"types": TYPES, "limit": max(1, len(ids)), **wanted}
    return await store.claim(ClaimRequest(worker_id=worker_id, ids=ids, **request), now)


async def scan(
    store: Store, worker_id: WorkerId, limit: int = 100, *, now: datetime = NOW, **wanted: Any
) -> list[ClaimedJob]:
    """Claim whatever is ready."""
    request = {"types": TYPES, **wanted}
    return await store.claim(ClaimRequest(worker_id=worker_id, limit=limit, **request), now)


async def started(store: Store, worker_id: WorkerId, *, now: datetime = NOW, **members: Any) -> ClaimedJob:
    """A new job in the worker's hands."""
    job_id = await inserted(store, now=now, **members)
    [job] = await claim(store, worker_id, job_id, now=now)
    return job


LEAST: Mapping[Verb, Mapping[str, Any]] = {
    Verb.COMPLETE: {"result": b'{"ok":true}'},
    Verb.RETRY: {"failures": 1, "run_at": at(60), "error": "no such thing"},
    Verb.FAIL: {"failures": 1, "error": "no such thing"},
    Verb.BURY: {"error": "parked"},
    Verb.SNOOZE: {"run_at": at(60)},
    Verb.RELEASE: {},
    Verb.ABORT: {},
}
"""What a move of each verb carries at least."""

VERBS = tuple(LEAST)
"""The verbs that end an attempt."""


def move(job_id: JobId, attempt: int, verb: Verb, **members: Any) -> Move:
    """The end of an attempt with what its verb needs."""
    return a_move(**{"job_id": job_id, "attempt": attempt, "verb": verb, "result": None, **LEAST[verb], **members})


async def settle(
    store: Store, job_id: JobId, attempt: int, verb: Verb, *, now: datetime = NOW, **members: Any
) -> Settled:
    """One move, alone."""
    [settled] = await store.settle([move(job_id, attempt, verb, **members)], now)
    return settled


async def operate(store: Store, verb: Verb, job_id: JobId, *, now: datetime = NOW) -> Operated:
    """One job, alone."""
    [operated] = await store.operate(verb, [job_id], now)
    return operated


async def crash(store: Store, job: ClaimedJob, *, now: datetime = NOW, **members: Any) -> Settled:
    """What a reaper settles for a job whose worker died."""
    lost = an_attempt_error(attempt=job.attempt, kind="crash", message="the worker died")
    told = {"crashes": 1, "failures": 0, "error": "the worker died", "failure": lost, **members}
    return await settle(store, job.id, job.attempt, Verb.RETRY, now=now, **told)


async def read(store: Store, job_id: JobId) -> StoredJob:
    """All of a job, its payload too."""
    return (await store.get([job_id], payload=True))[job_id]


async def read_all(store: Store, ids: Sequence[JobId]) -> list[StoredJob]:
    """Those of ``ids`` that exist, in their order."""
    found = await store.get(ids, payload=True)
    return [found[job_id] for job_id in ids if job_id in found]


async def statuses(store: Store, ids: Sequence[JobId]) -> list[str]:
    """Where each of ``ids`` stands."""
    found = await store.statuses(ids)
    return [found[job_id].value for job_id in ids]


def errors_of(job: StoredJob) -> list[dict[str, Any]]:
    """The job's failed attempts, oldest first."""
    told: list[dict[str, Any]] = json.loads(job.errors)
    return told


# ---------------------------------------------------------------------------------------- ways to every status

Way = Callable[[Store, WorkerId], Awaitable[JobId]]


async def _ended(store: Store, worker_id: WorkerId, *verbs: Verb) -> JobId:
    """A first attempt, ended with the first verb; the others are the operator's, one after another."""
    job = await started(store, worker_id)
    await settle(store, job.id, job.attempt, verbs[0])
    for verb in verbs[1:]:
        await operate(store, verb, job.id)
    return job.id


async def _running_with_a_cancel(store: Store, worker_id: WorkerId, *verbs: Verb) -> JobId:
    """A running job that was asked to stop, and the ends it then met."""
    job = await started(store, worker_id)
    await operate(store, Verb.CANCEL, job.id)
    for verb in verbs:
        await settle(store, job.id, job.attempt, verb)
    return job.id


async def _scheduled(store: Store, worker_id: WorkerId) -> JobId:
    return await inserted(store, run_at=at(60))


async def _queued(store: Store, worker_id: WorkerId) -> JobId:
    return await inserted(store)


async def _promoted(store: Store, worker_id: WorkerId) -> JobId:
    job_id = await _ended(store, worker_id, Verb.RETRY)
    await store.promote_due(100, at(60))
    return job_id


async def _processing(store: Store, worker_id: WorkerId) -> JobId:
    return (await started(store, worker_id)).id


async def _cancelled(store: Store, worker_id: WorkerId) -> JobId:
    job_id = await inserted(store)
    await operate(store, Verb.CANCEL, job_id)
    return job_id


WAYS: Mapping[str, Way] = {
    "scheduled": _scheduled,
    "scheduled by snooze": lambda s, w: _ended(s, w, Verb.SNOOZE),
    "queued": _queued,
    "queued by promote": _promoted,
    "queued by release": lambda s, w: _ended(s, w, Verb.RELEASE),
    "queued by requeue": lambda s, w: _ended(s, w, Verb.FAIL, Verb.REQUEUE),
    "processing": _processing,
    "processing, cancel requested": lambda s, w: _running_with_a_cancel(s, w),
    "retrying": lambda s, w: _ended(s, w, Verb.RETRY),
    "completed": lambda s, w: _ended(s, w, Verb.COMPLETE),
    "completed, cancel requested": lambda s, w: _running_with_a_cancel(s, w, Verb.COMPLETE),
    "failed": lambda s, w: _ended(s, w, Verb.FAIL),
    "dead": lambda s, w: _ended(s, w, Verb.BURY),
    "dead by operator": lambda s, w: _ended(s, w, Verb.FAIL, Verb.BURY),
    "cancelled": _cancelled,
    "cancelled while retrying": lambda s, w: _ended(s, w, Verb.RETRY, Verb.CANCEL),
    "cancelled by abort": lambda s, w: _ended(s, w, Verb.ABORT),
    "cancelled, cancel requested": lambda s, w: _running_with_a_cancel(s, w, Verb.RETRY),
}
"""Name of a way, which begins with the status it ends in. What is due in it is due at ``at(60)``."""


def status_of(way: str) -> Status:
    """Where a way ends."""
    return Status(way.split(" ")[0].rstrip(","))


async def one_of_each(store: Store, worker_id: WorkerId) -> dict[str, JobId]:
    """A job at the end of every way."""
    # Promotion takes whatever is due, so it goes first.
    first = await WAYS["queued by promote"](store, worker_id)
    others = {name: await way(store, worker_id) for name, way in WAYS.items() if name != "queued by promote"}
    return {**others, "queued by promote": first}


def cells(grid: str, columns: Sequence[str]) -> dict[tuple[str, str], str]:
    """A hand-written grid, ``way | cell cell ...`` a line under a line of columns: ``{(way, column): cell}``."""
    found: dict[tuple[str, str], str] = {}
    header, *lines = grid.strip().splitlines()
    assert header.lstrip("| ").split() == list(columns)
    for line in lines:
        way, _, rest = line.partition("|")
        for column, cell in zip(columns, rest.split(), strict=True):
            found[(way.strip(), column)] = cell
    return found


async def a_worker_in(store: Store, **members: Any) -> WorkerId:
    """One more worker whose lease lives."""
    worker = a_worker(**members)
    await store.register_worker(worker)
    return worker.id
