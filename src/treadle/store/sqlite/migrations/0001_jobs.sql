-- Times are whole microseconds since 1970 UTC; JSON is text; priority 0 is high, 1 default.
-- The CHECKs make rows impossible that no verb may leave behind (reliability: invariants 2 and 3).
CREATE TABLE jobs (
  id TEXT PRIMARY KEY CHECK (length(id) = 36),
  type TEXT NOT NULL CHECK (length(type) BETWEEN 1 AND 128),
  queue TEXT NOT NULL CHECK (length(queue) BETWEEN 1 AND 63),
  priority INTEGER NOT NULL CHECK (priority IN (0, 1)),
  status TEXT NOT NULL CHECK (status IN
    ('scheduled', 'queued', 'processing', 'retrying', 'completed', 'failed', 'dead', 'cancelled')),
  attempt INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
  failures INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
  crashes INTEGER NOT NULL DEFAULT 0 CHECK (crashes >= 0),
  snoozes INTEGER NOT NULL DEFAULT 0 CHECK (snoozes >= 0),
  max_attempts INTEGER NOT NULL CHECK (max_attempts BETWEEN 1 AND 25),
  max_crashes INTEGER NOT NULL CHECK (max_crashes BETWEEN 1 AND 25),
  timeout_seconds REAL NOT NULL CHECK (timeout_seconds > 0),
  backoff_base_seconds REAL NOT NULL,
  backoff_cap_seconds REAL NOT NULL,
  cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
  -- The door has checked it; checking a payload of ten megabytes here again would cost fifty of memory.
  payload TEXT NOT NULL CHECK (length(payload) > 100000 OR json_valid(payload)),
  result TEXT CHECK (result IS NULL OR json_valid(result)),
  error TEXT,
  errors TEXT NOT NULL DEFAULT '[]',
  progress TEXT CHECK (progress IS NULL OR json_valid(progress)),
  checkpoint TEXT CHECK (checkpoint IS NULL OR json_valid(checkpoint)),
  artifacts TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(artifacts)),
  worker_id TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  run_at INTEGER,
  queued_at INTEGER,
  started_at INTEGER,
  finished_at INTEGER,
  CHECK ((status IN ('completed', 'failed', 'dead', 'cancelled')) = (finished_at IS NOT NULL)),
  CHECK ((status = 'processing') = (worker_id IS NOT NULL)),
  CHECK (status NOT IN ('scheduled', 'retrying') OR run_at IS NOT NULL),
  CHECK (status != 'completed' OR error IS NULL),
  CHECK (status != 'failed' OR error IS NOT NULL),
  CHECK (NOT cancel_requested OR status IN ('processing', 'cancelled', 'completed'))
);
CREATE INDEX jobs_queued ON jobs (queue, priority, queued_at, id) WHERE status = 'queued';
CREATE INDEX jobs_due ON jobs (run_at, id) WHERE status IN ('scheduled', 'retrying');
CREATE INDEX jobs_processing ON jobs (worker_id) WHERE status = 'processing';
CREATE INDEX jobs_status ON jobs (status, id);

CREATE TABLE queues (
  name TEXT PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 63),
  paused_at INTEGER
) WITHOUT ROWID;

CREATE TABLE workers (
  id TEXT PRIMARY KEY,
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  version TEXT NOT NULL,
  queues TEXT NOT NULL,
  concurrency INTEGER NOT NULL,
  running INTEGER NOT NULL DEFAULT 0,
  beat INTEGER NOT NULL DEFAULT 0,
  started_at INTEGER NOT NULL,
  beat_at INTEGER NOT NULL,
  ended_at INTEGER
) WITHOUT ROWID;

CREATE TABLE idempotency_keys (
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  job_ids TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (scope, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);

-- One row: the moment that every process of this boot counts its time from.
CREATE TABLE clock (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  boot TEXT NOT NULL,
  wall INTEGER NOT NULL,
  rising REAL NOT NULL
);
