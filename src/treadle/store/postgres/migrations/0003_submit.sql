-- treadle_submit(type, payload, ...): a job inside the caller's own transaction, from any language that speaks SQL. The
-- job exists if and only if that transaction commits; the id is known at once.
--
-- It takes a type's policy from job_types, so some process that knows the type must have been started once. What it
-- cannot do is check the payload against the type's schema; the worker does, and fails a wrong one for good.
CREATE FUNCTION treadle_submit(
  type text, payload json, priority text DEFAULT 'default', queue text DEFAULT NULL,
  run_at timestamptz DEFAULT NULL, delay_seconds double precision DEFAULT NULL,
  max_attempts integer DEFAULT NULL, timeout_seconds double precision DEFAULT NULL, id uuid DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
DECLARE
  policy job_types;
  moment timestamptz := clock_timestamp();
  due timestamptz := treadle_submit.run_at;
  line text;
  -- UUIDv7 (RFC 9562): 48 bits of milliseconds, then random bits under the version's; a random UUID gives the rest.
  made uuid := coalesce(treadle_submit.id, encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
    PLACING substring(int8send((extract(epoch FROM moment) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1),
    'hex')::uuid);
BEGIN
  SELECT * INTO policy FROM job_types WHERE name = treadle_submit.type;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'treadle_submit: no job type is called %', coalesce(quote_literal(treadle_submit.type), 'NULL')
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Start a process that loads the app with this type once.';
  END IF;
  IF json_typeof(treadle_submit.payload) IS DISTINCT FROM 'object' THEN
    RAISE EXCEPTION 'treadle_submit: payload must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF treadle_submit.priority IS NULL OR treadle_submit.priority NOT IN ('high', 'default') THEN
    RAISE EXCEPTION 'treadle_submit: priority must be high or default' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF treadle_submit.max_attempts NOT BETWEEN 1 AND 25 THEN
    RAISE EXCEPTION 'treadle_submit: max_attempts must be from 1 to 25' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF NOT (treadle_submit.timeout_seconds > 0 AND treadle_submit.timeout_seconds <= 604800) THEN
    RAISE EXCEPTION 'treadle_submit: timeout_seconds must be more than 0 and at most 604800'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  line := coalesce(treadle_submit.queue, policy.queue);
  IF line <> policy.queue AND NOT EXISTS (SELECT 1 FROM queues WHERE name = line) THEN
    RAISE EXCEPTION 'treadle_submit: no job type, worker or setting names the queue %', quote_literal(line)
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF treadle_submit.delay_seconds IS NOT NULL THEN
    IF due IS NOT NULL OR NOT (treadle_submit.delay_seconds >= 0 AND treadle_submit.delay_seconds <= 31622400) THEN
      RAISE EXCEPTION 'treadle_submit: give run_at or delay_seconds, and the latter from 0 to 31622400'
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
    due := moment + make_interval(secs => treadle_submit.delay_seconds);
  END IF;
  IF due <= moment THEN
    due := NULL;
  END IF;
  INSERT INTO jobs (id, type, queue, priority, status, max_attempts, max_crashes, timeout_seconds,
                    backoff_base_seconds, backoff_cap_seconds, payload, created_at, updated_at, run_at, queued_at)
  VALUES (made, treadle_submit.type, line, treadle_submit.priority,
          CASE WHEN due IS NULL THEN 'queued' ELSE 'scheduled' END,
          coalesce(treadle_submit.max_attempts, policy.max_attempts), policy.max_crashes,
          coalesce(treadle_submit.timeout_seconds, policy.timeout_seconds),
          policy.backoff_base_seconds, policy.backoff_cap_seconds, treadle_submit.payload, moment, moment, due,
          CASE WHEN due IS NULL THEN timestamptz 'infinity' END)
  ON CONFLICT (id) DO NOTHING;
  RETURN made;
END
$$;

-- A transaction may stay open for minutes after it submitted. Its job enters the line when it commits and not when it
-- was written: otherwise it would appear behind marks that workers' scans have long passed (see claim_line), and before
-- jobs that were there first. Infinity says "not yet"; nothing else in the house writes it.
CREATE FUNCTION treadle_enter_line() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
  UPDATE jobs SET queued_at = clock_timestamp() WHERE id = NEW.id AND queued_at = 'infinity';
  RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER treadle_enter_line AFTER INSERT ON jobs
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (NEW.queued_at = timestamptz 'infinity') EXECUTE FUNCTION treadle_enter_line();
