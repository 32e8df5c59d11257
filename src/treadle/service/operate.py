"""Operate: what a person or a client may do to a job that exists: cancel, requeue, bury, delete, erase."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from treadle.errors import IllegalTransition, NotFound
from treadle.ids import JobId
from treadle.queue import Priority
from treadle.service.runtime import Runtime
from treadle.states import Actor, Status, Verb, sources_of, target_of
from treadle.store.protocol import Operated
from treadle.telemetry.meters import OTHER
from treadle.telemetry.metrics import REQUEUED

_RETRIED = "retried"
_OUTCOMES = {Verb.CANCEL: "cancelled", Verb.REQUEUE: REQUEUED, Verb.BURY: "dead"}


async def cancel(runtime: Runtime, job_id: JobId) -> Status:
    """``cancelled`` where it is done; ``processing`` where the job runs and was asked to stop.

    Raises ``NotFound``, ``IllegalTransition`` (the job is final).
    """
    return (await _operate(runtime, Verb.CANCEL, job_id, "cancelled")).status


async def requeue(runtime: Runtime, job_id: JobId) -> Status:
    """Give a failed, dead or cancelled job a new life: budgets at zero, attempt keeps rising.

    Raises ``NotFound``, ``IllegalTransition``.
    """
    done = await _operate(runtime, Verb.REQUEUE, job_id, _RETRIED)
    if done.operated.queue is not None and done.operated.priority is not None:
        runtime.dispatch.announce(done.operated.queue, done.operated.priority, [job_id])
    return done.status


async def requeue_all(runtime: Runtime, job_ids: Sequence[JobId]) -> int:
    """Requeue those of ``job_ids`` that exist and may be; how many that were."""
    done = await runtime.store.operate(Verb.REQUEUE, job_ids, runtime.clock.now())
    requeued = [operated for operated in done if operated.after is not None]
    for operated in requeued:
        _count(runtime, Verb.REQUEUE, operated)
    lines: dict[tuple[str, Priority], list[JobId]] = {}
    for operated in requeued:
        if operated.queue is not None and operated.priority is not None:
            lines.setdefault((operated.queue, operated.priority), []).append(operated.job_id)
    for (queue, priority), ids in lines.items():
        runtime.dispatch.announce(queue, priority, ids)
    return len(requeued)


async def bury(runtime: Runtime, job_id: JobId) -> Status:
    """Move a failed or retrying job to the dead-letter queue. Raises ``NotFound``, ``IllegalTransition``."""
    return (await _operate(runtime, Verb.BURY, job_id, "moved to the dead-letter queue")).status


async def delete(runtime: Runtime, job_id: JobId, *, files: bool) -> int:
    """Delete a final job; with ``files`` its published files too. How many files went.

    The row goes first: a crash in between leaves files without a job, as retention does, and never a job that says it
    has a file. Raises ``NotFound``, ``IllegalTransition``, and ``OSError`` for a file that stays.
    """
    [operated] = await runtime.store.delete([job_id])
    _checked(operated, "deleted")
    return await asyncio.to_thread(runtime.artifacts.remove, job_id) if files else 0


async def erase(runtime: Runtime, job_id: JobId) -> Status:
    """Erase a final job's payload, result and error texts; see ``Store.erase``. Raises as ``delete``; twice is once."""
    [operated] = await runtime.store.erase([job_id], runtime.clock.now())
    return _checked(operated, "erased")


class _Done:
    def __init__(self, operated: Operated, status: Status) -> None:
        self.operated = operated
        self.status = status


async def _operate(runtime: Runtime, verb: Verb, job_id: JobId, words: str) -> _Done:
    [operated] = await runtime.store.operate(verb, [job_id], runtime.clock.now())
    status = _checked(operated, words)
    _count(runtime, verb, operated)
    return _Done(operated, status)


def _count(runtime: Runtime, verb: Verb, operated: Operated) -> None:
    if operated.after is target_of(verb):  # not where a running job was only asked to stop
        runtime.metrics.jobs.add(1, operated.type or OTHER, operated.queue or OTHER, _OUTCOMES[verb])


def _checked(operated: Operated, words: str) -> Status:
    if operated.before is None:
        raise NotFound("no job has this id")
    if operated.after is not None:
        return operated.after
    if words == _RETRIED and operated.before in sources_of(Verb.REQUEUE, Actor.OPERATOR):
        raise IllegalTransition(f"a job that was erased cannot be {words}: its payload is gone")
    raise IllegalTransition(f"a job that is {operated.before} cannot be {words}")
