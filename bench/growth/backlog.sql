-- Queued no-op jobs, as the API leaves them, the oldest first; ids are UUIDv7 of their moment.
INSERT INTO jobs (id, type, status, priority, queue, payload, created_at, updated_at, queued_at, max_attempts,
                  max_crashes, timeout_seconds, backoff_base_seconds, backoff_cap_seconds)
SELECT (lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '7'
        || lpad(to_hex(n & 4095), 3, '0') || 'a' || substr(md5(n::text), 1, 15))::uuid,
       'NOOP', 'queued', 'default', 'default', '{"n":1}', moment, moment, moment, 3, 3, 900, 2, 3600
FROM (SELECT n, now() - interval '1 hour' + n * (interval '59 minutes' / %(rows)s) AS moment
      FROM generate_series(1, %(rows)s) AS n) AS series
