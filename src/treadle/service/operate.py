"""Operate: what a person or a client may do to a job that exists: cancel, requeue (retry), bury (dlq)."""

from __future__ import annotations

from collections.abc import Sequence

from treadle.errors import IllegalTransition, NotFound
from treadle.ids import JobId
from treadle.queue import Priority
from treadle.service.runtime import Runtime
from treadle.states import Status, Verb
from treadle.store.protocol import Operated


async def cancel(runtime: Runtime, job_id: JobId) -> Status:
    """``cancelled`` where it is done; ``processing`` where the job runs and was asked to stop.

    Raises ``NotFound``, ``IllegalTransition`` (the job is final).
    """
    return (await _operate(runtime, Verb.CANCEL, job_id, "cancelled")).status


async def requeue(runtime: Runtime, job_id: JobId) -> Status:
    """Give a failed, dead or cancelled job a new life: budgets at zero, attempt keeps rising.

    Raises ``NotFound``, ``IllegalTransition``.
    """
    done = await _operate(runtime, Verb.REQUEUE, job_id, "retried")
    if done.operated.queue is not None and done.operated.priority is not None:
        runtime.dispatch.announce(done.operated.queue, done.operated.priority, [job_id])
    return done.status


async def requeue_all(runtime: Runtime, job_ids: Sequence[JobId]) -> int:
    """Requeue those of ``job_ids`` that exist and may be; how many that were."""
    done = await runtime.store.operate(Verb.REQUEUE, job_ids, runtime.clock.now())
    requeued = [operated for operated in done if operated.after is not None]
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


class _Done:
    def __init__(self, operated: Operated, status: Status) -> None:
        self.operated = operated
        self.status = status


async def _operate(runtime: Runtime, verb: Verb, job_id: JobId, words: str) -> _Done:
    [operated] = await runtime.store.operate(verb, [job_id], runtime.clock.now())
    if operated.before is None:
        raise NotFound("no job has this id")
    if operated.after is None:
        raise IllegalTransition(f"a job that is {operated.before} cannot be {words}")
    return _Done(operated, operated.after)
