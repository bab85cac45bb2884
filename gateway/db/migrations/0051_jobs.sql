-- Work that outlives the process that ordered it: jobs, those that failed for good, and schedules.

CREATE TABLE realtime.jobs (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue         text        NOT NULL CHECK (queue ~ '^[a-z_]{1,40}$'),
    kind          text        NOT NULL CHECK (kind ~ '^[a-z_]{1,40}\.[a-z_]{1,40}$'),
    dedupe_key    text        CHECK (length(dedupe_key) BETWEEN 1 AND 200),
    run_at        timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    claimed_until timestamptz,
    again_at      timestamptz,
    attempts      integer     NOT NULL DEFAULT 0,
    uncounted     integer     NOT NULL DEFAULT 0,
    lost          smallint    NOT NULL DEFAULT 0,
    payload       json        NOT NULL DEFAULT '{}' CHECK (octet_length(payload::text) <= 4096),
    traceparent   text        CHECK (length(traceparent) <= 100)
) WITH (
    -- A claim changes no indexed column: with room on the page it is a HOT update.
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

CREATE INDEX jobs_due ON realtime.jobs (queue, run_at, id);
CREATE UNIQUE INDEX jobs_dedupe_key ON realtime.jobs (dedupe_key) WHERE dedupe_key IS NOT NULL;

COMMENT ON TABLE realtime.jobs IS
    'Jobs that wait or are in work. The row is deleted when its job is done, and moves to '
    'realtime.dead_jobs when it failed for good.';
COMMENT ON COLUMN realtime.jobs.dedupe_key IS
    'At most one job has it. A second order while the job waits is that job; while it is in work, '
    'the job runs once more afterwards (again_at).';
COMMENT ON COLUMN realtime.jobs.claimed_until IS
    'The lease of the worker that has it in work; NULL while it waits. Not indexed, as attempts.';
COMMENT ON COLUMN realtime.jobs.attempts IS
    'Claims, this one included. Never decreases: whoever finishes a job must name its number.';
COMMENT ON COLUMN realtime.jobs.uncounted IS
    'Attempts that are no failures: the worker stopped, the queue was closed, it goes on.';
COMMENT ON COLUMN realtime.jobs.lost IS
    'Leases that expired: the worker died, or was cut off.';

CREATE TABLE realtime.dead_jobs (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    died_at     timestamptz NOT NULL DEFAULT now(),
    error_code  text        NOT NULL CHECK (length(error_code) BETWEEN 1 AND 100),
    queue       text        NOT NULL,
    kind        text        NOT NULL,
    dedupe_key  text,
    created_at  timestamptz NOT NULL,
    attempts    integer     NOT NULL,
    lost        smallint    NOT NULL,
    payload     json        NOT NULL,
    traceparent text
);

CREATE INDEX dead_jobs_died_at ON realtime.dead_jobs (died_at);
CREATE INDEX dead_jobs_kind ON realtime.dead_jobs (kind, id);

COMMENT ON TABLE realtime.dead_jobs IS
    'Jobs that failed for good, for 30 days: `gateway jobs dead`, `retry` and `discard`.';

CREATE TABLE realtime.schedules (
    name       text        PRIMARY KEY CHECK (name ~ '^[a-z_]{1,40}\.[a-z_]{1,40}$'),
    every_s    float8      CHECK (every_s > 0),
    local_time time,
    zone       text,
    next_at    timestamptz NOT NULL,
    done_on    date,
    CHECK ((every_s IS NULL) = (local_time IS NOT NULL)),
    CHECK ((local_time IS NULL) = (zone IS NULL))
);

COMMENT ON TABLE realtime.schedules IS
    'When periodic jobs are ordered next. Workers write what they know at their start.';
COMMENT ON COLUMN realtime.schedules.done_on IS
    'The last local date that had its run: a repeated hour has no second one.';

-- Rows that are gone stay in the file while anybody has an older snapshot: a report of the CRM.
-- This alone gets rid of them meanwhile. A reader with such a snapshot finds no jobs afterwards.
CREATE FUNCTION realtime.compact_jobs(most integer) RETURNS boolean
-- DEFINER: TRUNCATE is a right of its own, which those who serve need not have.
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
-- Everybody who wants a job waits behind this lock.
SET lock_timeout = '100ms' AS $$
DECLARE
    kept realtime.jobs[];
BEGIN
    LOCK TABLE realtime.jobs IN ACCESS EXCLUSIVE MODE;
    SELECT array_agg(j) INTO kept FROM (SELECT * FROM realtime.jobs LIMIT most + 1) AS j;
    IF cardinality(kept) > most THEN
        RETURN false;
    END IF;
    TRUNCATE realtime.jobs;
    INSERT INTO realtime.jobs OVERRIDING SYSTEM VALUE SELECT * FROM unnest(kept);
    RETURN true;
END
$$;

COMMENT ON FUNCTION realtime.compact_jobs IS
    'Rewrites realtime.jobs without rows that are gone, unless more than this many jobs are there.';

CREATE TABLE realtime.ownerless_groups (
    conversation_id bigint      PRIMARY KEY,
    found_at        timestamptz NOT NULL DEFAULT now(),
    seen_at         timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE realtime.ownerless_groups IS
    'Groups without an active owner, and since when every sweep has found them so.';
