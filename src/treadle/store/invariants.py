"""What must be true of every database at every moment, whatever was killed. Each backend has a query for each name.

The queries stand in ``checks.sql`` of each backend, and give the subjects (job ids, keys) that violate the invariant.
They spell statuses out rather than take them from ``states``: a check that asks the table it checks finds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

STRUCTURE: Mapping[str, str] = {
    "lease_without_running": "a job points to a worker exactly while it is processing",
    "final_without_end": "a job has an end time exactly when it is completed, failed, dead or cancelled",
    "completed_with_error": "a completed job has no error",
    "failed_without_error": "a failed job says why",
    "waiting_without_time": "a scheduled or retrying job has a time to run at",
    "queued_without_place": "a queued job has a place in its line",
    "cancel_forgotten": "a job that was asked to stop is processing, cancelled or completed",
    "erased_and_alive": "an erased job is final and holds no payload, result or progress",
    "queue_undeclared": "every job's queue is known",
    "key_without_jobs": "an idempotency key names at least one job",
}
"""What the store alone keeps, whatever it is asked to do."""

CONDUCT: Mapping[str, str] = {
    "payload_missing": "every job has one payload, and it is an object",
    "job_under_two_keys": "no job was made under two idempotency keys",
    "orphan_left": "a processing job's worker beats, or ended a moment ago",
    "due_left": "a job that was due is promoted",
    "budget_exceeded": "no job fails or crashes more often than it may, nor goes on when that is spent",
    "starts_unaccounted": "failures and crashes are no more than starts",
    "time_reversed": "a job is created before it starts, and starts before it ends, give or take a minute",
}
"""What the verbs and the duties keep, with the store's help."""

INVARIANTS: Mapping[str, str] = {**STRUCTURE, **CONDUCT}
