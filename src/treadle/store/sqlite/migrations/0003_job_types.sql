-- What processes that load an app know of its types: an API without that code accepts jobs by these lines.
CREATE TABLE job_types (
  name TEXT PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 128),
  queue TEXT NOT NULL CHECK (length(queue) BETWEEN 1 AND 63),
  max_attempts INTEGER NOT NULL CHECK (max_attempts BETWEEN 1 AND 25),
  max_crashes INTEGER NOT NULL CHECK (max_crashes BETWEEN 1 AND 25),
  timeout_seconds REAL NOT NULL CHECK (timeout_seconds > 0),
  backoff_base_seconds REAL NOT NULL,
  backoff_cap_seconds REAL NOT NULL,
  schema TEXT NOT NULL CHECK (json_valid(schema)),
  published_at INTEGER NOT NULL
) WITHOUT ROWID;
