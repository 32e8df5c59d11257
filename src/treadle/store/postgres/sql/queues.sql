-- name: declare_queues
INSERT INTO queues (name) SELECT unnest(:names::text[]) ON CONFLICT (name) DO NOTHING;

-- name: set_paused
UPDATE queues
SET paused_at = CASE WHEN :paused_at::timestamptz IS NOT NULL THEN coalesce(paused_at, :paused_at) END
WHERE name = :name::text
RETURNING name;

-- name: queues
SELECT name, paused_at, high.depth AS high, standard.depth AS standard, coalesce(running.jobs, 0) AS processing,
       high.oldest AS oldest_high_at, standard.oldest AS oldest_default_at
FROM queues
  CROSS JOIN LATERAL (
    SELECT count(*) AS depth, min(queued_at) AS oldest FROM (
      SELECT queued_at FROM jobs WHERE status = 'queued' AND queue = name AND priority = 'high'
      ORDER BY queued_at, id LIMIT :cap::int) AS line
  ) AS high
  CROSS JOIN LATERAL (
    SELECT count(*) AS depth, min(queued_at) AS oldest FROM (
      SELECT queued_at FROM jobs WHERE status = 'queued' AND queue = name AND priority = 'default'
      ORDER BY queued_at, id LIMIT :cap) AS line
  ) AS standard
  LEFT JOIN (
    SELECT queue, count(*) AS jobs FROM (
      SELECT queue FROM jobs WHERE status = 'processing' ORDER BY worker_id
    ) AS held GROUP BY queue
  ) AS running ON running.queue = name
ORDER BY name;

-- name: lines
-- The same of the lines alone, each from its mark on.
WITH mark AS MATERIALIZED (
  SELECT queue, priority, queued_at
  FROM unnest(:mark_queues::text[], :mark_priorities::text[], :marks::timestamptz[])
    AS mark (queue, priority, queued_at)
)
SELECT name, paused_at, high.depth AS high, standard.depth AS standard, high.oldest AS oldest_high_at,
       standard.oldest AS oldest_default_at
FROM queues
  LEFT JOIN mark AS high_mark ON high_mark.queue = name AND high_mark.priority = 'high'
  LEFT JOIN mark AS standard_mark ON standard_mark.queue = name AND standard_mark.priority = 'default'
  CROSS JOIN LATERAL (
    SELECT count(*) AS depth, min(queued_at) AS oldest FROM (
      SELECT queued_at FROM jobs
      WHERE status = 'queued' AND queue = name AND priority = 'high'
        AND queued_at >= coalesce(high_mark.queued_at, '-infinity')
      ORDER BY queued_at, id LIMIT :cap::int) AS line
  ) AS high
  CROSS JOIN LATERAL (
    SELECT count(*) AS depth, min(queued_at) AS oldest FROM (
      SELECT queued_at FROM jobs
      WHERE status = 'queued' AND queue = name AND priority = 'default'
        AND queued_at >= coalesce(standard_mark.queued_at, '-infinity')
      ORDER BY queued_at, id LIMIT :cap) AS line
  ) AS standard
ORDER BY name;

-- name: queue_names
SELECT name FROM queues ORDER BY name;

-- name: prune_keys
WITH expired AS MATERIALIZED (
  SELECT scope, key FROM idempotency_keys WHERE expires_at <= :now::timestamptz
  ORDER BY expires_at LIMIT :limit::int FOR UPDATE SKIP LOCKED
)
DELETE FROM idempotency_keys kept USING expired WHERE kept.scope = expired.scope AND kept.key = expired.key;

-- name: ping
SELECT current_setting('transaction_read_only') AS is_read_only FROM treadle_schema LIMIT 1;

-- name: anchor
SELECT clock_timestamp() AS wall;
