-- When a job's payload, result and error texts were erased; such a job is never run again.
ALTER TABLE jobs ADD COLUMN erased_at timestamptz;
