-- name: declare_queue
INSERT INTO queues (name, paused_at) VALUES (:name, NULL) ON CONFLICT (name) DO NOTHING;

-- name: set_paused
UPDATE queues SET paused_at = CASE WHEN :paused_at IS NULL THEN NULL ELSE coalesce(paused_at, :paused_at) END
WHERE name = :name;

-- name: queues
SELECT name, paused_at FROM queues ORDER BY name;

-- name: queue_names
SELECT name FROM queues ORDER BY name;

-- name: depth
SELECT count(*), min(queued_at) FROM
  (SELECT queued_at FROM jobs INDEXED BY jobs_queued WHERE status = 'queued' AND queue = :queue AND priority = :priority
   ORDER BY queued_at LIMIT :cap);

-- name: running
SELECT queue, count(*) FROM jobs INDEXED BY jobs_processing WHERE status = 'processing' GROUP BY queue;

-- name: ping
SELECT 1 FROM clock;

-- name: get_clock
SELECT boot, wall, rising FROM clock;

-- name: put_clock
INSERT INTO clock (one, boot, wall, rising) VALUES (1, :boot, :wall, :rising)
ON CONFLICT (one) DO UPDATE SET boot = excluded.boot, wall = excluded.wall, rising = excluded.rising;
