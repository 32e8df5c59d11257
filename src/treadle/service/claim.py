"""Claim: ready jobs become a worker's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from treadle.failpoints import hit
from treadle.ids import JobId, WorkerId
from treadle.job import ClaimedJob
from treadle.queue import Priority
from treadle.service.runtime import Runtime
from treadle.store.protocol import ClaimRequest
from treadle.telemetry.metrics import CLAIMED

_LABELS = {priority: priority.label for priority in Priority}


async def claim(
    runtime: Runtime, worker_id: WorkerId, ids: Sequence[JobId] | None, queues: Sequence[str] | None, limit: int
) -> list[ClaimedJob]:
    """Claim hinted ``ids``, or by scan where they are ``None``; at most ``limit``, only types this process knows.

    An answer that is lost leaves jobs with this worker: its next beat finds and releases them.
    """
    request = ClaimRequest(worker_id=worker_id, limit=limit, types=runtime.registry.names, queues=queues, ids=ids)
    by = "scan" if ids is None else "hints"
    hit("worker.before_claim")
    try:
        jobs = await runtime.store.claim(request, runtime.clock.now())
    except Exception:
        runtime.metrics.claims.add(1, by, "error")
        raise
    runtime.metrics.claims.add(1, by, "jobs" if jobs else "empty")
    if jobs:
        _count(runtime, jobs)
        hit("worker.after_claim")
    return jobs


def _count(runtime: Runtime, jobs: Sequence[ClaimedJob]) -> None:
    metrics = runtime.metrics
    metrics.batch_items.observe(len(jobs), "claim")
    # Jobs that were submitted together have waited together: nearly always a batch is a handful of these.
    alike = Counter((job.type, job.queue, job.priority, job.queued_at, job.started_at) for job in jobs)
    for (type_name, queue, priority, queued_at, started_at), count in alike.items():
        metrics.jobs.add(count, type_name, queue, CLAIMED)
        metrics.wait_seconds.observe((started_at - queued_at).total_seconds(), queue, _LABELS[priority], count=count)
