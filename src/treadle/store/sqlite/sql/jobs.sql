-- name: insert
-- A batch that is sent again finds its own ids and leaves them as they are.
INSERT INTO jobs (id, type, queue, priority, status, max_attempts, max_crashes, timeout_seconds,
                  backoff_base_seconds, backoff_cap_seconds, payload, created_at, updated_at, run_at, queued_at,
                  traceparent)
VALUES (:id, :type, :queue, :priority, :status, :max_attempts, :max_crashes, :timeout_seconds,
        :backoff_base_seconds, :backoff_cap_seconds, CAST(:payload AS TEXT), :now, :now, :run_at, :queued_at,
        :traceparent)
ON CONFLICT (id) DO NOTHING;

-- name: insert_large
INSERT INTO large_payloads (job_id, payload) VALUES (:id, CAST(:payload AS TEXT)) ON CONFLICT (job_id) DO NOTHING;

-- name: large_payload
SELECT CAST(payload AS BLOB) FROM large_payloads WHERE job_id = :id;

-- name: find_key
SELECT fingerprint, job_ids FROM idempotency_keys WHERE scope = :scope AND key = :key AND expires_at > :now;

-- name: put_key
INSERT INTO idempotency_keys (scope, key, fingerprint, job_ids, expires_at)
VALUES (:scope, :key, :fingerprint, :job_ids, :expires_at)
ON CONFLICT (scope, key) DO UPDATE
  SET fingerprint = excluded.fingerprint, job_ids = excluded.job_ids, expires_at = excluded.expires_at;

-- name: holds_lease
SELECT 1 FROM workers WHERE id = :worker_id AND ended_at IS NULL;

-- name: ready_queues
-- Queues with something queued, paused ones left out: one index probe a queue, not a scan of the jobs. INDEXED BY,
-- here and below: left to itself SQLite takes jobs_status, and then sorts or reads the whole backlog.
WITH RECURSIVE line (queue) AS (
  SELECT (SELECT min(queue) FROM jobs INDEXED BY jobs_queued WHERE status = 'queued')
  UNION ALL
  SELECT (SELECT min(queue) FROM jobs INDEXED BY jobs_queued WHERE status = 'queued' AND queue > line.queue) FROM line WHERE queue IS NOT NULL
)
SELECT queue FROM line
WHERE queue IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM queues WHERE queues.name = line.queue AND queues.paused_at IS NOT NULL);

-- name: scan_line
-- One line in ready order; walks the index jobs_queued, whose condition must stand here literally.
SELECT id FROM jobs INDEXED BY jobs_queued
WHERE status = 'queued' AND queue = :queue AND priority = :priority
  AND type IN (SELECT value FROM json_each(:types))
ORDER BY queued_at, id LIMIT :limit;

-- name: claimable_line
-- ``scan_line`` with all that a claim hands out, the columns of ``claimable``: for the transaction that claims them.
SELECT rowid, id, type, queue, priority, CAST(payload AS BLOB), attempt + 1, failures, crashes, snoozes, max_attempts,
       max_crashes, timeout_seconds, backoff_base_seconds, backoff_cap_seconds, created_at, queued_at, checkpoint, traceparent
FROM jobs INDEXED BY jobs_queued
WHERE status = 'queued' AND queue = :queue AND priority = :priority
  AND type IN (SELECT value FROM json_each(:types))
ORDER BY queued_at, id LIMIT :limit;

-- name: claimable
-- The guards are all here: queued, of a known type, from a served queue that is not paused. With the attempt of the claim.
-- The plus, here and below: SQLite would take the status's index for it, which is no way to a row by its id or number.
SELECT rowid, id, type, queue, priority, CAST(payload AS BLOB), attempt + 1, failures, crashes, snoozes, max_attempts,
       max_crashes, timeout_seconds, backoff_base_seconds, backoff_cap_seconds, created_at, queued_at, checkpoint, traceparent
FROM jobs
WHERE id IN (SELECT value FROM json_each(:ids)) AND +status = :source
  AND type IN (SELECT value FROM json_each(:types))
  AND (:queues IS NULL OR queue IN (SELECT value FROM json_each(:queues)))
  AND NOT EXISTS (SELECT 1 FROM queues WHERE name = jobs.queue AND paused_at IS NOT NULL);

-- name: claim
UPDATE jobs
SET status = :target, attempt = attempt + 1, worker_id = :worker_id, started_at = :now, updated_at = :now,
    run_at = NULL, progress = NULL
WHERE rowid IN (SELECT value FROM json_each(:rows));

-- name: settle
-- The attempt fences: a worker that lost its job, or a reaper that read too long ago, matches nothing.
UPDATE jobs
SET status = CASE WHEN cancel_requested THEN :cancelled_target ELSE :target END,
    failures = failures + :failures,
    crashes = crashes + :crashes,
    snoozes = snoozes + :snoozes,
    worker_id = NULL,
    updated_at = :now,
    run_at = CASE WHEN cancel_requested THEN NULL ELSE :run_at END,
    queued_at = CASE WHEN :target = 'queued' AND NOT cancel_requested THEN :now ELSE queued_at END,
    finished_at = CASE WHEN cancel_requested OR :is_final THEN :now END,
    result = :result,
    error = CASE WHEN :keeps_error THEN error ELSE :error END,
    artifacts = coalesce(:artifacts, '[]'),
    progress = coalesce(:progress, progress),
    errors = CASE WHEN :failure IS NULL THEN errors ELSE
      json_insert(CASE WHEN json_array_length(errors) >= :max_kept_errors THEN json_remove(errors, '$[0]') ELSE errors END,
                  '$[#]', json(:failure)) END
WHERE id = :id AND attempt = :attempt AND status = :source;

-- name: complete
-- ``settle`` of many that all complete, in one step: rows that ``settled`` has just told, and with them the attempt.
UPDATE jobs
SET status = :target, worker_id = NULL, updated_at = :now, run_at = NULL, finished_at = :now, error = NULL,
    result = ended.value ->> 1,
    artifacts = coalesce(ended.value ->> 2, '[]'),
    progress = coalesce(ended.value ->> 3, progress)
FROM json_each(:ends) AS ended
WHERE jobs.rowid = ended.value ->> 0 AND +jobs.status = :source;

-- name: settled
-- How jobs stand, as one value: a row is a step, and at every step Python's lock changes hands.
-- After ``settle`` cheaper than its RETURNING, which costs a third of the update itself.
SELECT json_group_array(json_array(rowid, id, attempt, status, cancel_requested, type, queue, priority))
FROM jobs WHERE id IN (SELECT value FROM json_each(:ids));

-- name: note
UPDATE jobs
SET progress = coalesce(:progress, progress), checkpoint = coalesce(:checkpoint, checkpoint), updated_at = :now
WHERE id = :id AND attempt = :attempt AND status = :source;

-- name: due
SELECT id FROM jobs INDEXED BY jobs_due WHERE status IN ('scheduled', 'retrying') AND run_at <= :now ORDER BY run_at, id LIMIT :limit;

-- name: promote
UPDATE jobs SET status = :target, queued_at = :now, updated_at = :now, run_at = NULL
WHERE id = :id AND status IN (SELECT value FROM json_each(:sources))
RETURNING queue, priority;

-- name: next_due
SELECT min(run_at) FROM jobs INDEXED BY jobs_due WHERE status IN ('scheduled', 'retrying');

-- name: standing
SELECT status, type, queue, priority FROM jobs WHERE id = :id;

-- name: cancel
UPDATE jobs SET status = :target, run_at = NULL, finished_at = :now, updated_at = :now
WHERE id = :id AND status IN (SELECT value FROM json_each(:sources));

-- name: request_cancel
UPDATE jobs SET cancel_requested = 1, updated_at = :now WHERE id = :id AND status = :source;

-- name: requeue
-- A new life: budgets at zero; attempt, errors and checkpoint stay, the fence and the story go on.
UPDATE jobs
SET status = :target, queued_at = :now, updated_at = :now, run_at = NULL, finished_at = NULL,
    failures = 0, crashes = 0, snoozes = 0, cancel_requested = 0, result = NULL, error = NULL, progress = NULL,
    artifacts = '[]'
WHERE id = :id AND status IN (SELECT value FROM json_each(:sources)) AND erased_at IS NULL;

-- name: bury
UPDATE jobs SET status = :target, run_at = NULL, finished_at = coalesce(finished_at, :now), updated_at = :now
WHERE id = :id AND status IN (SELECT value FROM json_each(:sources));

-- name: held
SELECT id, attempt, cancel_requested FROM jobs INDEXED BY jobs_processing WHERE status = 'processing' AND worker_id = :worker_id;

-- name: held_ids
SELECT id, attempt, cancel_requested FROM jobs
WHERE id IN (SELECT value FROM json_each(:ids)) AND worker_id = :worker_id;

-- name: orphans
SELECT j.id, j.type, j.attempt, j.crashes, j.max_crashes, j.backoff_base_seconds, j.backoff_cap_seconds,
       j.started_at, j.worker_id
FROM jobs j INDEXED BY jobs_processing LEFT JOIN workers w ON w.id = j.worker_id
WHERE j.status = 'processing' AND (w.id IS NULL OR w.ended_at IS NOT NULL)
LIMIT :limit;

-- name: get
SELECT id, type, queue, priority, status, attempt, failures, crashes, max_attempts, timeout_seconds,
       cancel_requested, created_at, updated_at, run_at, queued_at, started_at, finished_at, worker_id,
       erased_at, CASE WHEN :payload THEN CAST(payload AS BLOB) END AS payload, result, error, errors, progress, artifacts
FROM jobs WHERE id IN (SELECT value FROM json_each(:ids));

-- name: statuses
SELECT id, status FROM jobs WHERE id IN (SELECT value FROM json_each(:ids));

-- name: page_by_status
-- One status at a time, newest first straight from jobs_status; read lazily, so it stops where the page is full.
SELECT id, type, queue, priority FROM jobs WHERE status = :status AND id < :below ORDER BY id DESC;

-- name: page_all
SELECT id, type, queue, priority FROM jobs WHERE id < :below ORDER BY id DESC;

-- name: count
SELECT count(*) FROM (SELECT 1 FROM jobs WHERE status = :status LIMIT :cap);

-- name: expired
-- Nothing finishes before it is created: the id's own time bounds the walk to rows that may have expired.
SELECT id FROM jobs WHERE status = :status AND id < :cutoff AND finished_at < :before ORDER BY id LIMIT :limit;

-- name: delete
DELETE FROM jobs WHERE id = :id AND status = :status;

-- name: erase
UPDATE jobs
SET payload = '{}', result = NULL, progress = NULL, checkpoint = NULL,
    error = CASE WHEN error IS NOT NULL THEN :text END,
    errors = (SELECT json_group_array(json_set(value, '$.message', :text, '$.traceback', NULL)) FROM json_each(errors)),
    erased_at = coalesce(erased_at, :now), updated_at = :now
WHERE id = :id AND status IN (SELECT value FROM json_each(:sources));

-- name: erase_large
DELETE FROM large_payloads WHERE job_id = :id;
