-- What has a name compares bytewise (COLLATE "C"), as SQLite does: the database's own language would order queues
-- otherwise, and a new release of the system's locales would break the indexes.
-- JSON is json, not jsonb: jsonb forgets the order of members, and CSV_EXPORT's columns stand in that order.
-- The CHECKs make rows impossible that no verb may leave behind.
CREATE TABLE jobs (
  id uuid PRIMARY KEY,
  type text COLLATE "C" NOT NULL CHECK (length(type) BETWEEN 1 AND 128),
  status text COLLATE "C" NOT NULL CHECK (status IN
    ('scheduled', 'queued', 'processing', 'retrying', 'completed', 'failed', 'dead', 'cancelled')),
  -- Text, for who reads the table. No index sorts by it: a line is one priority of one queue, and is named whole.
  priority text COLLATE "C" NOT NULL CHECK (priority IN ('high', 'default')),
  queue text COLLATE "C" NOT NULL CHECK (length(queue) BETWEEN 1 AND 63),
  payload json NOT NULL,
  result json,
  error text,
  attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  run_at timestamptz,
  queued_at timestamptz,
  started_at timestamptz,
  finished_at timestamptz,
  worker_id uuid,
  cancel_requested boolean NOT NULL DEFAULT false,
  failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
  crashes integer NOT NULL DEFAULT 0 CHECK (crashes >= 0),
  snoozes integer NOT NULL DEFAULT 0 CHECK (snoozes >= 0),
  max_attempts integer NOT NULL CHECK (max_attempts BETWEEN 1 AND 25),
  max_crashes integer NOT NULL CHECK (max_crashes BETWEEN 1 AND 25),
  timeout_seconds double precision NOT NULL CHECK (timeout_seconds > 0),
  backoff_base_seconds double precision NOT NULL,
  backoff_cap_seconds double precision NOT NULL,
  errors json[] NOT NULL DEFAULT '{}',
  progress json,
  checkpoint json,
  artifacts json NOT NULL DEFAULT '[]',
  CHECK ((status IN ('completed', 'failed', 'dead', 'cancelled')) = (finished_at IS NOT NULL)),
  CHECK ((status = 'processing') = (worker_id IS NOT NULL)),
  CHECK (status NOT IN ('scheduled', 'retrying') OR run_at IS NOT NULL),
  CHECK (status != 'completed' OR error IS NULL),
  CHECK (status != 'failed' OR error IS NOT NULL),
  CHECK (NOT cancel_requested OR status IN ('processing', 'cancelled', 'completed'))
) WITH (
  -- A row grows when it is settled. On full pages every one leaves a hole that only the next insert fits into, and
  -- each insert then goes to another old page: a page read and a full-page image a job, for ever.
  fillfactor = 90,
  -- By rows, not by shares: with ten million finished jobs a fifth of the table would come far too late.
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200000,
  autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 2000000,
  autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_limit = 2000
);
CREATE INDEX jobs_queued ON jobs (queue, priority, queued_at, id) WHERE status = 'queued';
CREATE INDEX jobs_due ON jobs (run_at, id) WHERE status IN ('scheduled', 'retrying');
CREATE INDEX jobs_processing ON jobs (worker_id) WHERE status = 'processing';
-- For pages and counts: every status but the three that every job passes through.
CREATE INDEX jobs_status ON jobs (status, id) WHERE status IN ('scheduled', 'retrying', 'failed', 'dead', 'cancelled');

CREATE TABLE queues (
  name text COLLATE "C" PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 63),
  paused_at timestamptz
);

CREATE TABLE workers (
  id uuid PRIMARY KEY,
  host text NOT NULL,
  pid integer NOT NULL,
  version text NOT NULL,
  queues text[] NOT NULL,
  concurrency integer NOT NULL,
  running integer NOT NULL DEFAULT 0,
  beat bigint NOT NULL DEFAULT 0,
  started_at timestamptz NOT NULL,
  beat_at timestamptz NOT NULL,
  ended_at timestamptz
) WITH (fillfactor = 50);  -- every beat rewrites its row: on the same page, and no index is touched

-- A table of its own: a unique index on jobs would be written with every version of a row.
CREATE TABLE idempotency_keys (
  scope text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  fingerprint bytea NOT NULL,
  job_ids uuid[] NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);
