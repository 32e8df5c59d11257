"""Claim: ready jobs become a worker's."""

from __future__ import annotations

from collections.abc import Sequence

from treadle.failpoints import hit
from treadle.ids import JobId, WorkerId
from treadle.job import ClaimedJob
from treadle.service.runtime import Runtime
from treadle.store.protocol import ClaimRequest


async def claim(
    runtime: Runtime, worker_id: WorkerId, ids: Sequence[JobId] | None, queues: Sequence[str] | None, limit: int
) -> list[ClaimedJob]:
    """Claim hinted ``ids``, or by scan where they are ``None``; at most ``limit``, only types this process knows.

    An answer that is lost leaves jobs with this worker: its next beat finds and releases them.
    """
    request = ClaimRequest(worker_id=worker_id, limit=limit, types=runtime.registry.names, queues=queues, ids=ids)
    hit("worker.before_claim")
    jobs = await runtime.store.claim(request, runtime.clock.now())
    if jobs:
        hit("worker.after_claim")
    return jobs
