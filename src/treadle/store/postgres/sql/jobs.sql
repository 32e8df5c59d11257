-- Two rules, and their one reason: statistics are taken when almost nothing is queued or running.
-- A statement that names ids compares (status || ''), which no partial index answers: it goes by the ids. With the
-- bare column it would join the batch with all that runs, and slow down with every job that does.
-- A statement that looks for jobs names the status literally, as its index does.

-- name: insert
-- A batch that is sent again finds its own ids and leaves them as they are. Its policies come once each, and their
-- numbers with the jobs: none at all where there is only one.
WITH named AS (
  INSERT INTO queues (name) SELECT unnest(:queue_names::text[]) ON CONFLICT (name) DO NOTHING
)
INSERT INTO jobs (id, type, queue, priority, status, max_attempts, max_crashes, timeout_seconds, backoff_base_seconds,
                  backoff_cap_seconds, payload, run_at, queued_at, created_at, updated_at, traceparent)
SELECT id, type, queue, priority, CASE WHEN run_at IS NULL THEN 'queued' ELSE 'scheduled' END, max_attempts,
       max_crashes, timeout_seconds, backoff_base_seconds, backoff_cap_seconds, payload, run_at,
       CASE WHEN run_at IS NULL THEN :now::timestamptz END, :now, :now, traceparent
FROM unnest(:ids::uuid[], :numbers::int[], :payloads::json[], :run_ats::timestamptz[], :traceparents::text[])
  AS job (id, number, payload, run_at, traceparent)
JOIN unnest(:types::text[], :queues::text[], :priorities::text[], :max_attempts::int[], :max_crashes::int[],
            :timeouts::float8[], :backoff_bases::float8[], :backoff_caps::float8[]) WITH ORDINALITY
  AS policy (type, queue, priority, max_attempts, max_crashes, timeout_seconds, backoff_base_seconds,
             backoff_cap_seconds, number)
  ON policy.number = coalesce(job.number, 1)
ON CONFLICT (id) DO NOTHING;

-- name: insert_keyed
-- The same, with keys. A key that is there and holds is written as it is, so that its row comes back as it stands
-- now: a SELECT would not see what a neighbour committed while this waited for it. It waits a second at most. The
-- jobs of a unit go in where its key names them: the first of their ids tells.
WITH bounded AS MATERIALIZED (
  SELECT set_config('lock_timeout', '1s', true)
), named AS (
  INSERT INTO queues (name) SELECT unnest(:queue_names::text[]) ON CONFLICT (name) DO NOTHING
), kept AS (
  INSERT INTO idempotency_keys AS kept (scope, key, fingerprint, job_ids, expires_at)
  SELECT scope, key, fingerprint, job_ids::uuid[], expires_at
  FROM bounded, unnest(:scopes::text[], :keys::text[], :fingerprints::bytea[], :key_job_ids::text[],
                       :expires_ats::timestamptz[])
    AS sent (scope, key, fingerprint, job_ids, expires_at)
  ORDER BY scope COLLATE "C", key COLLATE "C"
  ON CONFLICT (scope, key) DO UPDATE
    SET fingerprint = CASE WHEN kept.expires_at <= :now THEN excluded.fingerprint ELSE kept.fingerprint END,
        job_ids = CASE WHEN kept.expires_at <= :now THEN excluded.job_ids ELSE kept.job_ids END,
        expires_at = CASE WHEN kept.expires_at <= :now THEN excluded.expires_at ELSE kept.expires_at END
  RETURNING scope, key, fingerprint, job_ids
), added AS (
  INSERT INTO jobs (id, type, queue, priority, status, max_attempts, max_crashes, timeout_seconds,
                    backoff_base_seconds, backoff_cap_seconds, payload, run_at, queued_at, created_at, updated_at,
                    traceparent)
  SELECT id, type, queue, priority, CASE WHEN run_at IS NULL THEN 'queued' ELSE 'scheduled' END, max_attempts,
         max_crashes, timeout_seconds, backoff_base_seconds, backoff_cap_seconds, payload, run_at,
         CASE WHEN run_at IS NULL THEN :now::timestamptz END, :now, :now, traceparent
  FROM unnest(:ids::uuid[], :numbers::int[], :payloads::json[], :run_ats::timestamptz[], :traceparents::text[],
              :keyed_by::uuid[])
    AS job (id, number, payload, run_at, traceparent, keyed_by)
  JOIN unnest(:types::text[], :queues::text[], :priorities::text[], :max_attempts::int[], :max_crashes::int[],
              :timeouts::float8[], :backoff_bases::float8[], :backoff_caps::float8[]) WITH ORDINALITY
    AS policy (type, queue, priority, max_attempts, max_crashes, timeout_seconds, backoff_base_seconds,
               backoff_cap_seconds, number)
    ON policy.number = coalesce(job.number, 1)
  WHERE keyed_by IS NULL OR keyed_by IN (SELECT job_ids[1] FROM kept)
  ON CONFLICT (id) DO NOTHING
)
SELECT scope, key, fingerprint, job_ids FROM kept;

-- name: claim
-- The guards are all here: a lease that lives, queued, of a known type, from a served queue that is not paused.
-- The index gives the ids in their order, so claims of the same ids wait for each other and do not lock crosswise.
-- Locking them first, in a CTE, would make that sure; it cost a fifth more of the server's time, and a deadlock is
-- repeated anyway.
UPDATE jobs
SET status = 'processing', attempts = attempts + 1, worker_id = :worker_id::uuid, started_at = :now::timestamptz,
    updated_at = :now, run_at = NULL, progress = NULL
WHERE id = ANY (:ids::uuid[]) AND status || '' = 'queued' AND type = ANY (:types::text[])
  AND (:queues::text[] IS NULL OR queue = ANY (:queues))
  AND queue <> ALL (ARRAY (SELECT name FROM queues WHERE paused_at IS NOT NULL))
  AND EXISTS (SELECT 1 FROM workers WHERE id = :worker_id AND ended_at IS NULL)
RETURNING id, type, queue, priority, payload, attempts, failures, crashes, snoozes, max_attempts, max_crashes,
          timeout_seconds, backoff_base_seconds, backoff_cap_seconds, created_at,
          nullif(queued_at, created_at) AS requeued_at, checkpoint, traceparent;

-- name: any_queued
-- What an idle process asks before it scans. Planned once, as next_due is; its order leaves no choice but jobs_queued.
SELECT id FROM jobs WHERE status = 'queued' ORDER BY queue, priority, queued_at, id LIMIT 1;

-- name: claim_scan
-- Every line from its mark on, in the order of the lines: high before default, inside these the queues behind the one
-- that was first last time, then the others. The row behind a line's last one is read only where jobs are still
-- wanted, so exactly as many are locked as are claimed. Lines are the queues' two each, not what jobs_queued holds:
-- to find that would walk its dead entries.
WITH line AS MATERIALIZED (
  SELECT queues.name AS queue, side.priority, coalesce(mark.queued_at, '-infinity') AS mark
  FROM queues
    CROSS JOIN (VALUES ('high', :after_high::text), ('default', :after_default::text)) AS side (priority, after)
    LEFT JOIN unnest(:mark_queues::text[], :mark_priorities::text[], :marks::timestamptz[])
      AS mark (queue, priority, queued_at) ON mark.queue = queues.name AND mark.priority = side.priority
  WHERE paused_at IS NULL AND (:queues::text[] IS NULL OR queues.name = ANY (:queues))
    AND EXISTS (SELECT 1 FROM workers WHERE id = :worker_id::uuid AND ended_at IS NULL)
  ORDER BY side.priority = 'default', queues.name <= side.after, queues.name
), ready AS MATERIALIZED (
  SELECT next.id
  FROM line CROSS JOIN LATERAL (
    SELECT id FROM jobs
    WHERE status = 'queued' AND jobs.queue = line.queue AND jobs.priority = line.priority AND queued_at >= line.mark
      AND type = ANY (:types::text[])
    ORDER BY queued_at, id LIMIT :limit FOR UPDATE SKIP LOCKED
  ) AS next
  LIMIT :limit::int
)
UPDATE jobs job
SET status = 'processing', attempts = attempts + 1, worker_id = :worker_id, started_at = :now::timestamptz,
    updated_at = :now, run_at = NULL, progress = NULL
FROM ready
WHERE job.id = ready.id AND job.status || '' = 'queued'
RETURNING job.id, type, queue, priority, payload, attempts, failures, crashes, snoozes, max_attempts, max_crashes,
          timeout_seconds, backoff_base_seconds, backoff_cap_seconds, created_at,
          nullif(queued_at, created_at) AS requeued_at, checkpoint, traceparent;

-- name: settle
-- The attempt fences: a worker that lost its job, or a reaper that read too long ago, matches nothing. Moves come in
-- the order of their ids, and rows are locked in that of the moves; for why nothing locks them before, see claim.
UPDATE jobs job
SET status = CASE WHEN cancel_requested THEN cancelled_target ELSE target END,
    failures = job.failures + move.failures,
    crashes = job.crashes + move.crashes,
    snoozes = job.snoozes + ending.snoozes,
    worker_id = NULL,
    updated_at = :now::timestamptz,
    run_at = CASE WHEN cancel_requested THEN NULL ELSE move.run_at END,
    queued_at = CASE WHEN target = 'queued' AND NOT cancel_requested THEN :now ELSE queued_at END,
    finished_at = CASE WHEN cancel_requested OR is_final THEN :now END,
    result = move.result,
    error = CASE WHEN keeps_error THEN job.error ELSE move.error END,
    artifacts = coalesce(move.artifacts, '[]'),
    progress = coalesce(move.progress, job.progress),
    errors = CASE WHEN failure IS NULL THEN errors
                  ELSE (array_append(errors, failure))[greatest(1, cardinality(errors) + 2 - :max_kept_errors::int):] END
FROM unnest(:ids::uuid[], :attempts::int[], :verbs::text[], :failures::int[], :crashes::int[], :run_ats::timestamptz[],
            :results::json[], :errors::text[], :artifacts::json[], :progress::json[], :failure::json[])
    AS move (id, attempt, verb, failures, crashes, run_at, result, error, artifacts, progress, failure)
  JOIN unnest(:ending_verbs::text[], :ending_targets::text[], :ending_cancelled_targets::text[],
              :ending_is_final::bool[], :ending_snoozes::int[], :ending_keeps_error::bool[])
    AS ending (verb, target, cancelled_target, is_final, snoozes, keeps_error) USING (verb)
WHERE job.id = move.id AND job.attempts = move.attempt AND job.status || '' = 'processing'
RETURNING job.id, job.attempts, job.status, cancel_requested, type, queue, priority;

-- name: complete
-- What settle does to a batch of nothing but successes, as almost every batch is: half the arrays, no second join, and
-- nothing comes back but how many it moved. What all have in common comes once.
UPDATE jobs job
SET status = :target::text, worker_id = NULL, updated_at = :now::timestamptz, run_at = NULL, finished_at = :now,
    result = coalesce(move.result, :result::json), error = NULL, artifacts = coalesce(move.artifacts, '[]'),
    progress = coalesce(move.progress, job.progress)
FROM unnest(:ids::uuid[], :attempts::int[], :results::json[], :artifacts::json[], :progress::json[])
  AS move (id, attempt, result, artifacts, progress)
WHERE job.id = move.id AND job.attempts = coalesce(move.attempt, :attempt::int)
  AND job.status || '' = 'processing';

-- name: settled
-- How the jobs of refused moves stand.
SELECT id, attempts, status, cancel_requested, type, queue, priority FROM jobs WHERE id = ANY (:ids::uuid[]);

-- name: note
WITH held AS MATERIALIZED (
  SELECT id FROM jobs WHERE id = ANY (:ids::uuid[]) AND status || '' = 'processing' ORDER BY id FOR UPDATE
)
UPDATE jobs job
SET progress = coalesce(told.progress, job.progress), checkpoint = coalesce(told.checkpoint, job.checkpoint),
    updated_at = :now::timestamptz
FROM held, unnest(:ids, :attempts::int[], :progress::json[], :checkpoints::json[])
  AS told (id, attempt, progress, checkpoint)
WHERE held.id = told.id AND job.id = told.id AND job.attempts = told.attempt AND job.status || '' = 'processing'
RETURNING job.id, job.attempts;

-- name: next_due
-- What an idle process asks. Without parameters, so that a connection plans it once: that is most of what a look costs.
-- Such a plan is kept while the table grows, so its order leaves no choice but jobs_due.
SELECT run_at FROM jobs WHERE status IN ('scheduled', 'retrying') ORDER BY run_at, id LIMIT 1;

-- name: promote_due
-- What is due, and when the next one is: in every row, and in one row alone where nothing is due.
WITH due AS MATERIALIZED (
  SELECT id, run_at FROM jobs
  WHERE status IN ('scheduled', 'retrying') AND run_at <= :now::timestamptz
  ORDER BY run_at, id LIMIT :limit::int FOR UPDATE SKIP LOCKED
), promoted AS (
  UPDATE jobs job SET status = 'queued', queued_at = :now, updated_at = :now, run_at = NULL
  FROM due WHERE job.id = due.id
  RETURNING job.id, queue, priority, due.run_at
)
SELECT promoted.id, queue, priority, next.run_at AS next_run_at
FROM (
  SELECT (
    SELECT run_at FROM jobs
    WHERE status IN ('scheduled', 'retrying') AND id NOT IN (SELECT id FROM due)
    ORDER BY run_at, id LIMIT 1
  ) AS run_at
) AS next LEFT JOIN promoted ON true
ORDER BY promoted.run_at, promoted.id;

-- name: cancel
-- A running job is asked to stop; who runs it hears of that with its next beat.
WITH standing AS MATERIALIZED (
  SELECT id, status, type, queue, priority FROM jobs WHERE id = ANY (:ids::uuid[]) ORDER BY id FOR UPDATE
), changed AS (
  UPDATE jobs job
  SET status = CASE WHEN job.status = 'processing' THEN job.status ELSE :target::text END,
      cancel_requested = job.status = 'processing',
      run_at = CASE WHEN job.status = 'processing' THEN job.run_at END,
      finished_at = CASE WHEN job.status = 'processing' THEN job.finished_at ELSE :now::timestamptz END,
      updated_at = :now
  FROM standing
  WHERE job.id = standing.id AND (standing.status = ANY (:sources::text[]) OR standing.status = 'processing')
  RETURNING job.id, job.status
)
SELECT id, standing.status AS before, changed.status AS after, type, queue, priority
FROM standing LEFT JOIN changed USING (id);

-- name: requeue
-- A new life: budgets at zero; attempts, errors and checkpoint stay, the fence and the story go on.
WITH standing AS MATERIALIZED (
  SELECT id, status, type, queue, priority, erased_at FROM jobs WHERE id = ANY (:ids::uuid[]) ORDER BY id FOR UPDATE
), changed AS (
  UPDATE jobs job
  SET status = :target::text, queued_at = :now::timestamptz, updated_at = :now, run_at = NULL, finished_at = NULL,
      failures = 0, crashes = 0, snoozes = 0, cancel_requested = false, result = NULL, error = NULL, progress = NULL,
      artifacts = '[]'
  FROM standing
  WHERE job.id = standing.id AND standing.status = ANY (:sources::text[]) AND standing.erased_at IS NULL
  RETURNING job.id, job.status
)
SELECT id, standing.status AS before, changed.status AS after, type, queue, priority
FROM standing LEFT JOIN changed USING (id);

-- name: bury
WITH standing AS MATERIALIZED (
  SELECT id, status, type, queue, priority FROM jobs WHERE id = ANY (:ids::uuid[]) ORDER BY id FOR UPDATE
), changed AS (
  UPDATE jobs job
  SET status = :target::text, run_at = NULL, finished_at = coalesce(finished_at, :now::timestamptz), updated_at = :now
  FROM standing
  WHERE job.id = standing.id AND standing.status = ANY (:sources::text[])
  RETURNING job.id, job.status
)
SELECT id, standing.status AS before, changed.status AS after, type, queue, priority
FROM standing LEFT JOIN changed USING (id);

-- name: delete
WITH standing AS MATERIALIZED (
  SELECT id, status, type, queue, priority FROM jobs WHERE id = ANY (:ids::uuid[]) ORDER BY id FOR UPDATE
), changed AS (
  DELETE FROM jobs job USING standing WHERE job.id = standing.id AND job.status || '' = ANY (:sources::text[])
  RETURNING job.id, job.status
)
SELECT id, standing.status AS before, changed.status AS after, type, queue, priority
FROM standing LEFT JOIN changed USING (id);

-- name: erase
-- Of the kept errors the words go; their other members stay, in their order.
WITH standing AS MATERIALIZED (
  SELECT id, status, type, queue, priority FROM jobs WHERE id = ANY (:ids::uuid[]) ORDER BY id FOR UPDATE
), changed AS (
  UPDATE jobs job
  SET payload = '{}', result = NULL, progress = NULL, checkpoint = NULL,
      error = CASE WHEN error IS NOT NULL THEN :text::text END,
      errors = ARRAY (
        SELECT (SELECT json_object_agg(member.name, CASE member.name WHEN 'message' THEN to_json(:text)
                                                                     WHEN 'traceback' THEN 'null'
                                                                     ELSE member.value END ORDER BY member.position)
                FROM json_each(kept.failure) WITH ORDINALITY AS member (name, value, position))
        FROM unnest(errors) WITH ORDINALITY AS kept (failure, position) ORDER BY kept.position),
      erased_at = coalesce(erased_at, :now::timestamptz), updated_at = :now
  FROM standing
  WHERE job.id = standing.id AND job.status || '' = ANY (:sources::text[])
  RETURNING job.id, job.status
)
SELECT id, standing.status AS before, changed.status AS after, type, queue, priority
FROM standing LEFT JOIN changed USING (id);

-- name: orphans_of
SELECT id, type, attempts, crashes, max_crashes, backoff_base_seconds, backoff_cap_seconds, started_at, worker_id
FROM jobs WHERE status = 'processing' AND worker_id = ANY (:worker_ids::uuid[])
LIMIT :limit::int;

-- name: orphans
SELECT id, type, attempts, crashes, max_crashes, backoff_base_seconds, backoff_cap_seconds, started_at, worker_id
FROM jobs
WHERE status = 'processing'
  AND NOT EXISTS (SELECT 1 FROM workers WHERE workers.id = jobs.worker_id AND workers.ended_at IS NULL)
LIMIT :limit::int;

-- name: get
SELECT id, type, queue, priority, status, attempts, failures, crashes, max_attempts, timeout_seconds,
       cancel_requested, created_at, updated_at, run_at, queued_at, started_at, finished_at, erased_at, worker_id,
       CASE WHEN :payload::bool THEN payload END AS payload, result, error, array_to_json(errors) AS errors, progress,
       artifacts
FROM jobs WHERE id = ANY (:ids::uuid[]);

-- name: statuses
SELECT id, status FROM jobs WHERE id = ANY (:ids::uuid[]);

-- name: prune_final
-- Nothing finishes before it is created: the id's own time bounds the walk to rows that may have expired.
WITH expired AS MATERIALIZED (
  SELECT id FROM jobs
  WHERE status IN ('failed', 'dead', 'cancelled') AND status = :status::text AND id < :cutoff::uuid
    AND finished_at < :before::timestamptz
  ORDER BY id LIMIT :limit::int FOR UPDATE SKIP LOCKED
)
DELETE FROM jobs job USING expired WHERE job.id = expired.id RETURNING job.id;

-- name: prune_completed
-- Completed jobs are in no index but that of the ids, whose beginning the last call may have emptied: its entries
-- stand there until a vacuum. So the walk goes on behind where the last one ended, over a bounded window. Nobody waits
-- for its flush: what a crash of the server brings back goes again.
WITH looked AS MATERIALIZED (
  SELECT id, status, finished_at FROM jobs
  WHERE id > :after::uuid AND id < :cutoff::uuid ORDER BY id LIMIT :window::int
), expired AS MATERIALIZED (
  SELECT jobs.id FROM jobs JOIN looked USING (id)
  WHERE looked.status = 'completed' AND looked.finished_at < :before::timestamptz
  ORDER BY id LIMIT :limit::int FOR UPDATE OF jobs SKIP LOCKED
), deleted AS (
  DELETE FROM jobs job USING expired WHERE job.id = expired.id RETURNING job.id
)
SELECT set_config('synchronous_commit', 'off', true) AS synchronous_commit,
       (SELECT count(*) FROM deleted) AS removed, (SELECT count(*) FROM looked) AS looked,
       (SELECT id FROM deleted ORDER BY id DESC LIMIT 1) AS last_deleted,
       (SELECT id FROM looked ORDER BY id DESC LIMIT 1) AS last_looked;

-- name: outgrown
-- Whether the table is young, and four times as large as when its statistics were taken.
SELECT reltuples < 1000000
   AND pg_relation_size(oid) > 4 * greatest(relpages, 1)::bigint * current_setting('block_size')::int AS outgrown
FROM pg_class WHERE oid = 'jobs'::regclass;

-- name: analyze
-- Where autovacuum is at it already, this is not needed.
ANALYZE (SKIP_LOCKED) jobs;
