-- Subjects that violate an invariant of store/invariants.py; every query reads, and ends with its limit.

-- name: lease_without_running
SELECT id FROM jobs WHERE (status = 'processing') != (worker_id IS NOT NULL) LIMIT :limit;

-- name: final_without_end
SELECT id FROM jobs WHERE (status IN ('completed', 'failed', 'dead', 'cancelled')) != (finished_at IS NOT NULL)
LIMIT :limit;

-- name: completed_with_error
SELECT id FROM jobs WHERE status = 'completed' AND error IS NOT NULL LIMIT :limit;

-- name: failed_without_error
SELECT id FROM jobs WHERE status = 'failed' AND error IS NULL LIMIT :limit;

-- name: waiting_without_time
SELECT id FROM jobs WHERE status IN ('scheduled', 'retrying') AND run_at IS NULL LIMIT :limit;

-- name: queued_without_place
SELECT id FROM jobs WHERE status = 'queued' AND queued_at IS NULL LIMIT :limit;

-- name: cancel_forgotten
SELECT id FROM jobs WHERE cancel_requested AND status NOT IN ('processing', 'cancelled', 'completed') LIMIT :limit;

-- name: payload_missing
-- An object in jobs and none beside it, or null in jobs and one beside it; see migration 0002.
SELECT id FROM jobs
WHERE (payload = 'null') != EXISTS (SELECT 1 FROM large_payloads WHERE job_id = jobs.id)
   OR (payload != 'null' AND substr(payload, 1, 1) != '{')
LIMIT :limit;

-- name: erased_and_alive
SELECT id FROM jobs
WHERE erased_at IS NOT NULL
  AND (status NOT IN ('completed', 'failed', 'dead', 'cancelled') OR payload != '{}' OR result IS NOT NULL
       OR progress IS NOT NULL OR checkpoint IS NOT NULL)
LIMIT :limit;

-- name: queue_undeclared
SELECT id FROM jobs WHERE NOT EXISTS (SELECT 1 FROM queues WHERE name = jobs.queue) LIMIT :limit;

-- name: key_without_jobs
SELECT key FROM idempotency_keys
WHERE json_array_length(job_ids) = 0 LIMIT :limit;

-- name: job_under_two_keys
SELECT value FROM idempotency_keys, json_each(job_ids) GROUP BY value HAVING count(*) > 1 LIMIT :limit;

-- name: orphan_left
-- A lease that nobody ended though it stands still counts as well: that is what a dead reaper looks like.
SELECT j.id FROM jobs j LEFT JOIN workers w ON w.id = j.worker_id
WHERE j.status = 'processing' AND j.started_at < :before
  AND (w.id IS NULL OR w.ended_at < :before OR w.beat_at < :before)
LIMIT :limit;

-- name: due_left
SELECT id FROM jobs WHERE status IN ('scheduled', 'retrying') AND run_at < :before LIMIT :limit;

-- name: budget_exceeded
SELECT id FROM jobs
WHERE failures > max_attempts OR crashes > max_crashes OR snoozes > 1000
   OR (status IN ('scheduled', 'queued', 'processing', 'retrying') AND (failures >= max_attempts OR crashes >= max_crashes))
LIMIT :limit;

-- name: starts_unaccounted
SELECT id FROM jobs WHERE failures + crashes > attempt OR (status = 'processing' AND attempt = 0) LIMIT :limit;

-- name: time_reversed
-- A verb takes its time before it waits for the store: a claim that a scan began may be dated before the insert it
-- then finds. That is milliseconds, seconds under load; a minute is a clock that is wrong.
SELECT id FROM jobs
WHERE started_at < created_at - 60000000 OR finished_at < created_at - 60000000
   OR (status = 'completed' AND finished_at < started_at - 60000000)
LIMIT :limit;
