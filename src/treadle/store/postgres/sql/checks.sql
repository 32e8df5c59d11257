-- Subjects that violate an invariant of store/invariants.py; every query reads, and ends with its limit.
-- What a CHECK of the table makes impossible is asked all the same: a dump may be loaded without it.

-- name: lease_without_running
SELECT id FROM jobs WHERE (status = 'processing') <> (worker_id IS NOT NULL) LIMIT :limit::int;

-- name: final_without_end
SELECT id FROM jobs WHERE (status IN ('completed', 'failed', 'dead', 'cancelled')) <> (finished_at IS NOT NULL)
LIMIT :limit::int;

-- name: completed_with_error
SELECT id FROM jobs WHERE status = 'completed' AND error IS NOT NULL LIMIT :limit::int;

-- name: failed_without_error
SELECT id FROM jobs WHERE status = 'failed' AND error IS NULL LIMIT :limit::int;

-- name: waiting_without_time
SELECT id FROM jobs WHERE status IN ('scheduled', 'retrying') AND run_at IS NULL LIMIT :limit::int;

-- name: queued_without_place
SELECT id FROM jobs WHERE status = 'queued' AND queued_at IS NULL LIMIT :limit::int;

-- name: cancel_forgotten
SELECT id FROM jobs WHERE cancel_requested AND status NOT IN ('processing', 'cancelled', 'completed')
LIMIT :limit::int;

-- name: payload_missing
SELECT id FROM jobs WHERE json_typeof(payload) <> 'object' LIMIT :limit::int;

-- name: erased_and_alive
SELECT id FROM jobs
WHERE erased_at IS NOT NULL
  AND (status NOT IN ('completed', 'failed', 'dead', 'cancelled') OR payload::text <> '{}' OR result IS NOT NULL
       OR progress IS NOT NULL OR checkpoint IS NOT NULL)
LIMIT :limit::int;

-- name: queue_undeclared
SELECT id FROM jobs WHERE NOT EXISTS (SELECT 1 FROM queues WHERE name = jobs.queue) LIMIT :limit::int;

-- name: key_without_jobs
SELECT key FROM idempotency_keys WHERE cardinality(job_ids) = 0 LIMIT :limit::int;

-- name: job_under_two_keys
SELECT id FROM idempotency_keys, unnest(job_ids) AS id GROUP BY id HAVING count(*) > 1 LIMIT :limit::int;

-- name: orphan_left
-- A lease that nobody ended though it stands still counts as well: that is what a dead reaper looks like.
SELECT job.id FROM jobs job LEFT JOIN workers ON workers.id = job.worker_id
WHERE job.status = 'processing' AND job.started_at < :before::timestamptz
  AND (workers.id IS NULL OR workers.ended_at < :before OR workers.beat_at < :before)
LIMIT :limit::int;

-- name: due_left
SELECT id FROM jobs WHERE status IN ('scheduled', 'retrying') AND run_at < :before::timestamptz LIMIT :limit::int;

-- name: budget_exceeded
SELECT id FROM jobs
WHERE failures > max_attempts OR crashes > max_crashes OR snoozes > 1000
   OR (status IN ('scheduled', 'queued', 'processing', 'retrying')
       AND (failures >= max_attempts OR crashes >= max_crashes))
LIMIT :limit::int;

-- name: starts_unaccounted
SELECT id FROM jobs WHERE failures + crashes > attempts OR (status = 'processing' AND attempts = 0)
LIMIT :limit::int;

-- name: time_reversed
-- A verb takes its time before it waits for the store, and each process asks the server for the time on its own: a
-- claim may be dated before the insert it finds, by seconds under load. A minute is a clock that is wrong.
SELECT id FROM jobs
WHERE started_at < created_at - interval '1 minute' OR finished_at < created_at - interval '1 minute'
   OR (status = 'completed' AND finished_at < started_at - interval '1 minute')
LIMIT :limit::int;
