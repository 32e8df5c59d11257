-- Job types as processes with their code published them, for processes without it and for SQL.
CREATE TABLE job_types (
  name text COLLATE "C" PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 128),
  queue text COLLATE "C" NOT NULL CHECK (length(queue) BETWEEN 1 AND 63),
  max_attempts integer NOT NULL CHECK (max_attempts BETWEEN 1 AND 25),
  max_crashes integer NOT NULL CHECK (max_crashes BETWEEN 1 AND 25),
  timeout_seconds double precision NOT NULL CHECK (timeout_seconds > 0),
  -- Scaled by the publisher's settings; what the type itself says stands below.
  backoff_base_seconds double precision NOT NULL,
  backoff_cap_seconds double precision NOT NULL,
  schema json NOT NULL,
  published_at timestamptz NOT NULL,
  own_base_seconds double precision NOT NULL,
  own_cap_seconds double precision NOT NULL,
  seen_at timestamptz NOT NULL
);
