"""Workers: starting, beating and ending a lease; and who is there."""

from __future__ import annotations

from collections.abc import Sequence

from treadle.ids import JobId, WorkerId
from treadle.service.runtime import Runtime
from treadle.store.protocol import HeldJob, WorkerRecord


async def register(runtime: Runtime, worker: WorkerRecord) -> None:
    """Begin a lease."""
    await runtime.store.register_worker(worker)


async def beat(
    runtime: Runtime, worker_id: WorkerId, running: int, ids: Sequence[JobId] | None
) -> list[HeldJob] | None:
    """One beat; what of ``ids`` points to this worker (``None``: all that does), or ``None``: its lease has ended."""
    return await runtime.store.beat(worker_id, running, runtime.clock.now(), ids)


async def end(runtime: Runtime, worker_id: WorkerId) -> None:
    """End one's own lease at shutdown."""
    await runtime.store.end_worker(worker_id, None, runtime.clock.now())


async def read_beats(runtime: Runtime) -> Sequence[tuple[WorkerId, int]]:
    """The counter of every live lease, from a store that takes writes at this moment. Raises ``Unavailable``."""
    return await runtime.store.beats()


async def list_workers(runtime: Runtime) -> Sequence[WorkerRecord]:
    """All live leases."""
    return await runtime.store.workers()
