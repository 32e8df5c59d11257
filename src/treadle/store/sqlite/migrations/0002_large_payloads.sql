-- An UPDATE writes its whole row anew, and a job is updated at its claim, at every progress, at its end: a payload of
-- megabytes would be read and written each time. Here it is written once. jobs.payload is then null, which no other
-- job has: a payload is an object.
CREATE TABLE large_payloads (
  job_id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
  payload TEXT NOT NULL
);
