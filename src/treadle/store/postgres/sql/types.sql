-- name: publish_types
-- In the order of names: two processes that start at once take turns, and do not meet head-on.
INSERT INTO job_types (name, queue, max_attempts, max_crashes, timeout_seconds, backoff_base_seconds,
                       backoff_cap_seconds, schema, published_at)
SELECT name, queue, max_attempts, max_crashes, timeout_seconds, base_seconds, cap_seconds, schema, :now
FROM unnest(:names::text[], :queues::text[], :max_attempts::int[], :max_crashes::int[], :timeouts::float8[],
            :base_seconds::float8[], :cap_seconds::float8[], :schemas::json[])
  AS x (name, queue, max_attempts, max_crashes, timeout_seconds, base_seconds, cap_seconds, schema)
ORDER BY name
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
