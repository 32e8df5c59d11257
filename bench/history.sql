-- Finished no-op jobs, as a worker leaves them, the oldest first; ids are UUIDv7 of their moment.
INSERT INTO jobs (id, type, status, priority, queue, payload, result, attempts, created_at, updated_at, queued_at,
                  started_at, finished_at, max_attempts, max_crashes, timeout_seconds, backoff_base_seconds,
                  backoff_cap_seconds)
SELECT (lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '7'
        || lpad(to_hex(n & 4095), 3, '0') || 'a' || substr(md5(n::text), 1, 15))::uuid,
       'NOOP', 'completed', 'default', 'default', json_build_object('n', n), 'null', 1,
       moment, moment + interval '5 ms', moment, moment + interval '2 ms', moment + interval '5 ms',
       3, 3, 900, 2, 3600
FROM (SELECT n, now() - interval '6 days' + n * (interval '5 days' / %(rows)s) AS moment
      FROM generate_series(1, %(rows)s) AS n) AS series
