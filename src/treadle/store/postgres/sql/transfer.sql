-- name: job_count
SELECT count(*) FROM jobs;

-- name: read_jobs
SELECT id, type, queue, priority, status, attempts, failures, crashes, snoozes, max_attempts, max_crashes,
       timeout_seconds, backoff_base_seconds, backoff_cap_seconds, cancel_requested, payload, result, error, errors,
       progress, checkpoint, artifacts, worker_id, created_at, updated_at, run_at, queued_at, started_at, finished_at,
       erased_at, traceparent
FROM jobs WHERE id > $1 ORDER BY id LIMIT $2;

-- name: write_jobs
INSERT INTO jobs (id, type, queue, priority, status, attempts, failures, crashes, snoozes, max_attempts, max_crashes,
                  timeout_seconds, backoff_base_seconds, backoff_cap_seconds, cancel_requested, payload, result, error,
                  errors, progress, checkpoint, artifacts, worker_id, created_at, updated_at, run_at, queued_at,
                  started_at, finished_at, erased_at, traceparent)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
        $25, $26, $27, $28, $29, $30, $31)
ON CONFLICT (id) DO NOTHING;

-- name: read_keys
SELECT scope, key, fingerprint, job_ids, expires_at FROM idempotency_keys ORDER BY scope, key;

-- name: write_keys
INSERT INTO idempotency_keys (scope, key, fingerprint, job_ids, expires_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (scope, key) DO NOTHING;

-- name: read_queues
SELECT name, paused_at FROM queues ORDER BY name;

-- name: write_queues
INSERT INTO queues (name, paused_at) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET paused_at = coalesce(queues.paused_at, excluded.paused_at);
