-- name: register_worker
INSERT INTO workers (id, host, pid, version, queues, concurrency, running, beat, started_at, beat_at, ended_at)
VALUES (:id::uuid, :host::text, :pid::int, :version::text, :queues::text[], :concurrency::int, :running::int,
        :beat::bigint, :started_at::timestamptz, :beat_at::timestamptz, :ended_at::timestamptz)
ON CONFLICT (id) DO NOTHING;

-- name: beat
-- One row for every job that points here, one without a job where there is none, none where the lease has ended.
-- jobs_processing keeps an entry of every job that has run, until a vacuum: this walks over all of them.
WITH beaten AS (
  UPDATE workers SET beat = beat + 1, running = :running::int, beat_at = :now::timestamptz
  WHERE id = :worker_id::uuid AND ended_at IS NULL
  RETURNING id
)
SELECT held.id, held.attempts, held.cancel_requested
FROM beaten LEFT JOIN LATERAL (
  SELECT id, attempts, cancel_requested FROM jobs WHERE status = 'processing' AND worker_id = :worker_id
) AS held ON true;

-- name: beat_ids
-- The same of jobs that are named, by their ids alone: worker_id without a status fits no partial index.
WITH beaten AS (
  UPDATE workers SET beat = beat + 1, running = :running::int, beat_at = :now::timestamptz
  WHERE id = :worker_id::uuid AND ended_at IS NULL
  RETURNING id
)
SELECT held.id, held.attempts, held.cancel_requested
FROM beaten LEFT JOIN LATERAL (
  SELECT id, attempts, cancel_requested FROM jobs WHERE id = ANY (:ids::uuid[]) AND worker_id = :worker_id
) AS held ON true;

-- name: end_worker
-- Guarded by the counter that was watched: a beat in between saves the worker.
UPDATE workers SET ended_at = :now::timestamptz
WHERE id = :worker_id::uuid AND ended_at IS NULL AND (:beat::bigint IS NULL OR beat = :beat)
RETURNING id;

-- name: workers
SELECT id, host, pid, version, queues, concurrency, running, beat, started_at, beat_at, ended_at
FROM workers WHERE ended_at IS NULL ORDER BY started_at, id;

-- name: beats
SELECT id, beat, current_setting('transaction_read_only') AS is_read_only FROM workers WHERE ended_at IS NULL;

-- name: ended_workers
SELECT id FROM workers WHERE ended_at IS NOT NULL;

-- name: prune_workers
-- A lease may go only when nothing points to it; absent and ended mean the same to the reaper anyway.
DELETE FROM workers WHERE ended_at < :before::timestamptz
  AND NOT EXISTS (SELECT 1 FROM jobs WHERE status = 'processing' AND worker_id = workers.id);
