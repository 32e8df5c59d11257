-- name: register_worker
INSERT INTO workers (id, host, pid, version, queues, concurrency, running, beat, started_at, beat_at, ended_at)
VALUES (:id, :host, :pid, :version, :queues, :concurrency, :running, :beat, :started_at, :beat_at, :ended_at)
ON CONFLICT (id) DO NOTHING;

-- name: beat
UPDATE workers SET beat = beat + 1, running = :running, beat_at = :now WHERE id = :worker_id AND ended_at IS NULL;

-- name: end_worker
-- Guarded by the counter that was watched: a beat in between saves the worker.
UPDATE workers SET ended_at = :now
WHERE id = :worker_id AND ended_at IS NULL AND (:beat IS NULL OR beat = :beat);

-- name: workers
SELECT id, host, pid, version, queues, concurrency, running, beat, started_at, beat_at, ended_at
FROM workers WHERE ended_at IS NULL ORDER BY started_at, id;

-- name: prune_workers
-- A lease may go only when nothing points to it; absent and ended mean the same to the reaper anyway. INDEXED BY: of a
-- table with one column more SQLite thinks that all of what runs is read faster by jobs_status.
DELETE FROM workers WHERE ended_at < :before
  AND NOT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_processing
                  WHERE jobs.status = 'processing' AND jobs.worker_id = workers.id);

-- name: prune_keys
DELETE FROM idempotency_keys WHERE (scope, key) IN
  (SELECT scope, key FROM idempotency_keys WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit);
