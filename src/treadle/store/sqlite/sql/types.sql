-- name: publish_type
-- An older process that is still there must not undo what a newer one said; one that says the same only keeps it fresh.
INSERT INTO job_types (name, queue, max_attempts, max_crashes, timeout_seconds, backoff_base_seconds,
  backoff_cap_seconds, own_base_seconds, own_cap_seconds, schema, published_at, seen_at)
VALUES (:name, :queue, :max_attempts, :max_crashes, :timeout_seconds, :backoff_base_seconds,
  :backoff_cap_seconds, :own_base_seconds, :own_cap_seconds, :schema, :published_at, :now)
ON CONFLICT (name) DO UPDATE SET
  queue = excluded.queue, max_attempts = excluded.max_attempts, max_crashes = excluded.max_crashes,
  timeout_seconds = excluded.timeout_seconds, backoff_base_seconds = excluded.backoff_base_seconds,
  backoff_cap_seconds = excluded.backoff_cap_seconds, own_base_seconds = excluded.own_base_seconds,
  own_cap_seconds = excluded.own_cap_seconds, schema = excluded.schema,
  published_at = max(published_at, excluded.published_at), seen_at = excluded.seen_at
WHERE CASE
  WHEN (queue, max_attempts, max_crashes, timeout_seconds, backoff_base_seconds, backoff_cap_seconds,
        own_base_seconds, own_cap_seconds, schema)
     = (excluded.queue, excluded.max_attempts, excluded.max_crashes, excluded.timeout_seconds,
        excluded.backoff_base_seconds, excluded.backoff_cap_seconds, excluded.own_base_seconds,
        excluded.own_cap_seconds, excluded.schema)
  THEN seen_at <= :stale
  ELSE published_at < excluded.published_at
END;

-- name: types
SELECT name, queue, max_attempts, max_crashes, timeout_seconds, backoff_base_seconds, backoff_cap_seconds,
  own_base_seconds, own_cap_seconds, schema, published_at
FROM job_types ORDER BY name;

-- name: prune_types
DELETE FROM job_types WHERE seen_at <= :before;
