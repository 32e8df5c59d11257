"""Reap: end the lease of a worker that stopped beating, then take back what it held. Two guarded steps.

Step one makes the death a fact that the worker itself will meet at its next beat, claim or note; only then are its jobs
taken, each fenced by its attempt. Without step one a paused worker would wake, claim and go on as if nothing was.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from treadle.failpoints import hit
from treadle.ids import WorkerId
from treadle.job import AttemptError, Orphan
from treadle.retry import after_crash
from treadle.service.runtime import Runtime
from treadle.service.settle import announce_released, count_settled
from treadle.states import Verb
from treadle.store.protocol import Move, Settled

BATCH = 500


async def end_lease(runtime: Runtime, worker_id: WorkerId, beat: int) -> bool:
    """Step one, guarded by the counter that was watched: false where the worker has beaten since."""
    ended = await runtime.store.end_worker(worker_id, beat, runtime.clock.now())
    runtime.metrics.leases_ended.add(int(ended))
    hit("duties.after_end_lease")
    return ended


async def take_back(runtime: Runtime) -> Sequence[Settled]:
    """Step two, one batch: every ``processing`` job whose worker is ended or absent counts a crash."""
    orphans = await runtime.store.orphans(BATCH)
    if not orphans:
        return ()
    now = runtime.clock.now()
    settled = await runtime.store.settle([_move(runtime, orphan, now) for orphan in orphans], now)
    runtime.metrics.taken_back.add(sum(done.status is not None for done in settled))
    count_settled(runtime, settled)
    announce_released(runtime, settled)
    return settled


def _move(runtime: Runtime, orphan: Orphan, now: datetime) -> Move:
    verb = after_crash(orphan.crashes, orphan.max_crashes)
    run_at = None
    message = "the worker that ran this attempt died or stopped answering"
    if verb is Verb.RETRY:
        run_at = now + timedelta(seconds=orphan.backoff.delay_seconds(orphan.crashes + 1, runtime.chance))
    else:
        message = f"poison: {orphan.crashes + 1} workers died while running this job"
    failure = AttemptError(
        attempt=orphan.attempt,
        started_at=orphan.started_at,
        ended_at=now,
        kind="poison" if verb is Verb.BURY else "crash",
        message=message,
        traceback=None,
        worker=orphan.worker_id,
    )
    return Move(
        job_id=orphan.id,
        attempt=orphan.attempt,
        verb=verb,
        crashes=1,
        run_at=run_at,
        error=message,
        failure=failure,
    )
