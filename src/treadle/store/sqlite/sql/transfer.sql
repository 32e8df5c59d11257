-- name: job_count
SELECT count(*) FROM jobs;

-- name: read_jobs
SELECT id, type, queue, priority, status, attempt, failures, crashes, snoozes, max_attempts, max_crashes,
       timeout_seconds, backoff_base_seconds, backoff_cap_seconds, cancel_requested, CAST(payload AS BLOB) AS payload,
       result, error, errors, progress, checkpoint, artifacts, worker_id,
       created_at, updated_at, run_at, queued_at, started_at, finished_at, erased_at, traceparent
FROM jobs WHERE id > :above ORDER BY id LIMIT :limit;

-- name: read_keys
SELECT scope, key, fingerprint, job_ids, expires_at FROM idempotency_keys ORDER BY scope, key;

-- name: read_queues
SELECT name, paused_at FROM queues ORDER BY name;
