-- name: publish_types
-- An older process that is still there must not undo what a newer one said; one that says the same only keeps it fresh.
-- What would change nothing is left out before: a conflict that is then ignored writes a lock into its row all the same.
WITH said AS MATERIALIZED (
  SELECT * FROM unnest(
    :names::text[], :queues::text[], :max_attempts::int[], :max_crashes::int[], :timeout_seconds::float8[],
    :backoff_base_seconds::float8[], :backoff_cap_seconds::float8[], :own_base_seconds::float8[],
    :own_cap_seconds::float8[], :schemas::text[], :published_at::timestamptz[]
  ) AS said (name, queue, max_attempts, max_crashes, timeout_seconds, backoff_base_seconds, backoff_cap_seconds,
             own_base_seconds, own_cap_seconds, schema, published_at)
),
news AS MATERIALIZED (
  SELECT said.* FROM said LEFT JOIN job_types AS old ON old.name = said.name
  WHERE old.name IS NULL OR CASE
    WHEN (old.queue, old.max_attempts, old.max_crashes, old.timeout_seconds, old.backoff_base_seconds,
          old.backoff_cap_seconds, old.own_base_seconds, old.own_cap_seconds, old.schema::text)
       = (said.queue, said.max_attempts, said.max_crashes, said.timeout_seconds, said.backoff_base_seconds,
          said.backoff_cap_seconds, said.own_base_seconds, said.own_cap_seconds, said.schema)
    THEN old.seen_at <= :stale::timestamptz
    ELSE old.published_at < said.published_at
  END
)
INSERT INTO job_types AS old (name, queue, max_attempts, max_crashes, timeout_seconds, backoff_base_seconds,
  backoff_cap_seconds, own_base_seconds, own_cap_seconds, schema, published_at, seen_at)
SELECT name, queue, max_attempts, max_crashes, timeout_seconds, backoff_base_seconds, backoff_cap_seconds,
  own_base_seconds, own_cap_seconds, schema::json, published_at, :now::timestamptz
FROM news ORDER BY name COLLATE "C"
ON CONFLICT (name) DO UPDATE SET
  queue = excluded.queue, max_attempts = excluded.max_attempts, max_crashes = excluded.max_crashes,
  timeout_seconds = excluded.timeout_seconds, backoff_base_seconds = excluded.backoff_base_seconds,
  backoff_cap_seconds = excluded.backoff_cap_seconds, own_base_seconds = excluded.own_base_seconds,
  own_cap_seconds = excluded.own_cap_seconds, schema = excluded.schema,
  published_at = greatest(old.published_at, excluded.published_at), seen_at = excluded.seen_at
-- Said at the same moment by two: the later one again, whichever comes second.
WHERE old.published_at < excluded.published_at
  OR (old.queue, old.max_attempts, old.max_crashes, old.timeout_seconds, old.backoff_base_seconds,
      old.backoff_cap_seconds, old.own_base_seconds, old.own_cap_seconds, old.schema::text)
   = (excluded.queue, excluded.max_attempts, excluded.max_crashes, excluded.timeout_seconds,
      excluded.backoff_base_seconds, excluded.backoff_cap_seconds, excluded.own_base_seconds,
      excluded.own_cap_seconds, excluded.schema::text);

-- name: types
SELECT name, queue, max_attempts, max_crashes, timeout_seconds, backoff_base_seconds, backoff_cap_seconds,
  own_base_seconds, own_cap_seconds, schema::text AS schema, published_at
FROM job_types ORDER BY name;

-- name: prune_types
DELETE FROM job_types WHERE seen_at <= :before::timestamptz;
