-- name: publish_type
INSERT INTO job_types (name, queue, max_attempts, max_crashes, timeout_seconds, backoff_base_seconds,
                       backoff_cap_seconds, schema, published_at)
VALUES (:name, :queue, :max_attempts, :max_crashes, :timeout_seconds, :backoff_base_seconds, :backoff_cap_seconds,
        :schema, :now)
ON CONFLICT (name) DO UPDATE
  SET queue = excluded.queue, max_attempts = excluded.max_attempts, max_crashes = excluded.max_crashes,
      timeout_seconds = excluded.timeout_seconds, backoff_base_seconds = excluded.backoff_base_seconds,
      backoff_cap_seconds = excluded.backoff_cap_seconds, schema = excluded.schema,
      published_at = excluded.published_at;

-- name: types
SELECT name, queue, max_attempts, max_crashes, timeout_seconds, backoff_base_seconds, backoff_cap_seconds, schema
FROM job_types ORDER BY name;

-- name: prune_types
DELETE FROM job_types WHERE published_at < :before;
