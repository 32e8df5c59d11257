-- Job types as processes with their code published them, for processes without it.
CREATE TABLE job_types (
  name TEXT PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 128),
  queue TEXT NOT NULL CHECK (length(queue) BETWEEN 1 AND 63),
  max_attempts INTEGER NOT NULL CHECK (max_attempts BETWEEN 1 AND 25),
  max_crashes INTEGER NOT NULL CHECK (max_crashes BETWEEN 1 AND 25),
  timeout_seconds REAL NOT NULL CHECK (timeout_seconds > 0),
  -- Scaled by the publisher's settings; what the type itself says stands beside it.
  backoff_base_seconds REAL NOT NULL,
  backoff_cap_seconds REAL NOT NULL,
  own_base_seconds REAL NOT NULL,
  own_cap_seconds REAL NOT NULL,
  schema TEXT NOT NULL CHECK (json_valid(schema)),
  published_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL
) WITHOUT ROWID;
