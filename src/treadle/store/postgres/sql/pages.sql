-- Pages and counts: none of them reads an unbounded number of rows, whatever stands in the table.
-- A page looks at a window of jobs, newest first, and tells how many these were and which was the last, so that the
-- next page goes on behind it.

-- name: page_all
WITH looked AS MATERIALIZED (
  SELECT id, status, type, queue, priority FROM jobs WHERE id < :below::uuid ORDER BY id DESC LIMIT :window::int
), found AS (
  SELECT id FROM looked
  WHERE (:statuses::text[] IS NULL OR status = ANY (:statuses)) AND (:type::text IS NULL OR type = :type)
    AND (:queue::text IS NULL OR queue = :queue) AND (:priority::text IS NULL OR priority = :priority)
  ORDER BY id DESC LIMIT :limit::int
)
SELECT found.id, seen.looked, seen.last
FROM (SELECT count(*) AS looked, (SELECT id FROM looked ORDER BY id LIMIT 1) AS last FROM looked) AS seen
  LEFT JOIN found ON true
ORDER BY found.id DESC;

-- name: page_status
-- Of statuses that jobs_status holds, each walked by itself.
WITH looked AS MATERIALIZED (
  SELECT id, type, queue, priority FROM (
    (SELECT id, type, queue, priority FROM jobs
     WHERE status = 'scheduled' AND 'scheduled' = ANY (:statuses::text[]) AND id < :below::uuid
     ORDER BY id DESC LIMIT :window::int)
    UNION ALL
    (SELECT id, type, queue, priority FROM jobs
     WHERE status = 'retrying' AND 'retrying' = ANY (:statuses) AND id < :below
     ORDER BY id DESC LIMIT :window)
    UNION ALL
    (SELECT id, type, queue, priority FROM jobs
     WHERE status = 'failed' AND 'failed' = ANY (:statuses) AND id < :below
     ORDER BY id DESC LIMIT :window)
    UNION ALL
    (SELECT id, type, queue, priority FROM jobs
     WHERE status = 'dead' AND 'dead' = ANY (:statuses) AND id < :below
     ORDER BY id DESC LIMIT :window)
    UNION ALL
    (SELECT id, type, queue, priority FROM jobs
     WHERE status = 'cancelled' AND 'cancelled' = ANY (:statuses) AND id < :below
     ORDER BY id DESC LIMIT :window)
  ) AS merged
  ORDER BY id DESC LIMIT :window
), found AS (
  SELECT id FROM looked
  WHERE (:type::text IS NULL OR type = :type) AND (:queue::text IS NULL OR queue = :queue)
    AND (:priority::text IS NULL OR priority = :priority)
  ORDER BY id DESC LIMIT :limit::int
)
SELECT found.id, seen.looked, seen.last
FROM (SELECT count(*) AS looked, (SELECT id FROM looked ORDER BY id LIMIT 1) AS last FROM looked) AS seen
  LEFT JOIN found ON true
ORDER BY found.id DESC;

-- name: page_live
-- Of queued and running jobs, whose indexes are in no order of ids: read whole, where they are few enough for that.
WITH looked AS MATERIALIZED (
  (SELECT id, type, queue, priority FROM jobs
   WHERE status = 'queued' AND 'queued' = ANY (:statuses::text[])
   ORDER BY queue, priority, queued_at, id LIMIT :window::int)
  UNION ALL
  (SELECT id, type, queue, priority FROM jobs
   WHERE status = 'processing' AND 'processing' = ANY (:statuses)
   ORDER BY worker_id LIMIT :window)
), found AS (
  SELECT id FROM looked
  WHERE id < :below::uuid AND (:type::text IS NULL OR type = :type) AND (:queue::text IS NULL OR queue = :queue)
    AND (:priority::text IS NULL OR priority = :priority)
  ORDER BY id DESC LIMIT :limit::int
)
SELECT found.id, seen.looked, NULL::uuid AS last
FROM (SELECT count(*) AS looked FROM looked) AS seen
  LEFT JOIN found ON true
ORDER BY found.id DESC;

-- name: counts_few
-- What can be counted without an entry of every job that has run: the lines are counted elsewhere.
SELECT 'processing' AS status, (SELECT coalesce(sum(running), 0)::bigint FROM workers WHERE ended_at IS NULL) AS count
UNION ALL
SELECT 'scheduled', (SELECT count(*) FROM
  (SELECT 1 FROM jobs WHERE status = 'scheduled' ORDER BY id LIMIT :cap::int) AS counted)
UNION ALL
SELECT 'retrying', (SELECT count(*) FROM
  (SELECT 1 FROM jobs WHERE status = 'retrying' ORDER BY id LIMIT :cap) AS counted)
UNION ALL
SELECT 'failed', (SELECT count(*) FROM
  (SELECT 1 FROM jobs WHERE status = 'failed' ORDER BY id LIMIT :cap) AS counted)
UNION ALL
SELECT 'dead', (SELECT count(*) FROM
  (SELECT 1 FROM jobs WHERE status = 'dead' ORDER BY id LIMIT :cap) AS counted)
UNION ALL
SELECT 'cancelled', (SELECT count(*) FROM
  (SELECT 1 FROM jobs WHERE status = 'cancelled' ORDER BY id LIMIT :cap) AS counted);

-- name: counts
-- The orders are those of the indexes: a count without one may be made by reading the table. Completed jobs are
-- counted among the oldest million: what else is in there by the million is queued, and younger.
SELECT 'scheduled' AS status, (SELECT count(*) FROM
  (SELECT 1 FROM jobs WHERE status = 'scheduled' ORDER BY id LIMIT :cap::int) AS counted) AS count
UNION ALL
SELECT 'queued', (SELECT count(*) FROM
  (SELECT 1 FROM jobs WHERE status = 'queued' ORDER BY queue, priority, queued_at, id LIMIT :cap) AS counted)
UNION ALL
SELECT 'processing', (SELECT count(*) FROM
  (SELECT 1 FROM jobs WHERE status = 'processing' ORDER BY worker_id LIMIT :cap) AS counted)
UNION ALL
SELECT 'retrying', (SELECT count(*) FROM
  (SELECT 1 FROM jobs WHERE status = 'retrying' ORDER BY id LIMIT :cap) AS counted)
UNION ALL
SELECT 'completed', (SELECT count(*) FROM
  (SELECT 1 FROM (SELECT status FROM jobs ORDER BY id LIMIT :window::int) AS oldest WHERE status = 'completed'
   LIMIT :cap) AS counted)
UNION ALL
SELECT 'failed', (SELECT count(*) FROM
  (SELECT 1 FROM jobs WHERE status = 'failed' ORDER BY id LIMIT :cap) AS counted)
UNION ALL
SELECT 'dead', (SELECT count(*) FROM
  (SELECT 1 FROM jobs WHERE status = 'dead' ORDER BY id LIMIT :cap) AS counted)
UNION ALL
SELECT 'cancelled', (SELECT count(*) FROM
  (SELECT 1 FROM jobs WHERE status = 'cancelled' ORDER BY id LIMIT :cap) AS counted);
