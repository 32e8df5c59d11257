"""Reasons: one plain sentence that says where a job stands, and why it is not running."""

from __future__ import annotations

from treadle.admin.pulse import Snapshot
from treadle.admin.tiles import is_served, waiting
from treadle.admin.wording import ago, exact, span, tally
from treadle.job import StoredJob
from treadle.states import Status


def reason(job: StoredJob, snapshot: Snapshot) -> str:
    """From the job and the last look at the house; no read of its own."""
    now = snapshot.at
    if job.status is Status.SCHEDULED and job.run_at is not None:
        return f"Scheduled: becomes ready {ago(job.run_at, now)}, at {exact(job.run_at)}."
    if job.status is Status.RETRYING and job.run_at is not None:
        return f"Attempt {job.attempt} did not succeed; the next one is due {ago(job.run_at, now)}."
    if job.status is Status.QUEUED:
        return _why_queued(job, snapshot)
    if job.status is Status.PROCESSING:
        return _how_running(job, snapshot)
    ended = f" {ago(job.finished_at, now)}" if job.finished_at is not None else ""
    starts = "once" if job.attempt == 1 else f"{job.attempt} times"
    return {
        Status.COMPLETED: f"Completed{ended}.",
        Status.FAILED: f"Failed for good{ended}, started {starts}. A retry gives it a new life.",
        Status.DEAD: f"In the dead-letter queue since{ended or ' it failed'}, started {starts}.",
        Status.CANCELLED: f"Cancelled{ended}.",
    }.get(job.status, "")


def _why_queued(job: StoredJob, snapshot: Snapshot) -> str:
    queue = next((queue for queue in snapshot.queues if queue.name == job.queue), None)
    if queue is not None and queue.paused_at is not None:
        return f"Held: the queue {job.queue} was paused {ago(queue.paused_at, snapshot.at)}."
    if not snapshot.workers:
        return "Waits: no worker is running."
    if not is_served(job.queue, snapshot):
        return f"Waits: no live worker serves the queue {job.queue}."
    slots = sum(worker.concurrency for worker in snapshot.workers)
    busy = sum(worker.running for worker in snapshot.workers)
    line = tally(waiting(queue)) if queue is not None else "some"
    full = f"all {slots:,} slots are busy, and " if busy >= slots else ""
    return f"Ready: {full}{line} jobs wait in {job.queue}."


def _how_running(job: StoredJob, snapshot: Snapshot) -> str:
    worker = next((worker for worker in snapshot.workers if worker.id == job.worker_id), None)
    where = f" on {worker.host}, process {worker.pid}" if worker is not None else ""
    since = f" for {span(max((snapshot.at - job.started_at).total_seconds(), 0))}" if job.started_at is not None else ""
    asked = " It has been asked to stop." if job.cancel_requested else ""
    lost = "" if worker is not None else " Its worker is not among the live ones: the job will be taken back soon."
    return f"Attempt {job.attempt} has run{since}{where}; its time-out is {span(job.timeout_seconds)}.{asked}{lost}"
