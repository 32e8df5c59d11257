-- The trace that the submission of a job was part of (W3C Trace Context), for its handler to go on with.
ALTER TABLE jobs ADD COLUMN traceparent text;
