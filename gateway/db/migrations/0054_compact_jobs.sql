-- realtime.compact_jobs deletes: whoever may call it with any argument, in any transaction, could
-- delete jobs. It is for those who serve, keeps every job whatever it is asked, and only runs where
-- each of its statements sees what was committed before it.

CREATE OR REPLACE FUNCTION realtime.compact_jobs(most integer) RETURNS boolean
-- DEFINER: TRUNCATE is a right of its own, which those who serve need not have.
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
-- Everybody who wants a job waits behind this lock.
SET lock_timeout = '100ms' AS $$
DECLARE
    kept realtime.jobs[];
BEGIN
    IF most IS NULL OR most < 0 THEN
        RAISE EXCEPTION 'most is a number of jobs, 0 or more.'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Jobs that are committed after an older snapshot would be truncated unseen.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'Call it in a transaction that is READ COMMITTED.'
            USING ERRCODE = 'invalid_transaction_state';
    END IF;
    LOCK TABLE realtime.jobs IN ACCESS EXCLUSIVE MODE;
    SELECT array_agg(j) INTO kept
      FROM (SELECT * FROM realtime.jobs LIMIT most::bigint + 1) AS j;
    IF coalesce(cardinality(kept), 0) > most THEN
        RETURN false;
    END IF;
    TRUNCATE realtime.jobs;
    INSERT INTO realtime.jobs OVERRIDING SYSTEM VALUE SELECT * FROM unnest(kept);
    RETURN true;
END
$$;

-- Granted with all functions to the serving role, after each migration (docs/crm-contract.md).
REVOKE ALL ON FUNCTION realtime.compact_jobs FROM PUBLIC;
