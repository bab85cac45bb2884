-- How far each rebuild of calls has come, so that one that was interrupted goes on there.

CREATE TABLE realtime.call_rebuilds (
    since        timestamptz NOT NULL,
    until        timestamptz NOT NULL,
    source       text        NOT NULL,
    id           uuid        NOT NULL DEFAULT gen_random_uuid(),
    rules        text        NOT NULL,
    began_at     timestamptz NOT NULL DEFAULT now(),
    total        bigint      NOT NULL,
    stage        text        NOT NULL DEFAULT 'calls',
    after_time   timestamptz,
    after_call   uuid,
    after_source text,
    after_extension text,
    done         bigint      NOT NULL DEFAULT 0,
    examined     bigint      NOT NULL DEFAULT 0,
    changed      bigint      NOT NULL DEFAULT 0,
    restored     bigint      NOT NULL DEFAULT 0,
    skipped      bigint      NOT NULL DEFAULT 0,
    telephones   bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (since, until, source)
);

COMMENT ON TABLE realtime.call_rebuilds IS
    'Rebuilds of calls that have not ended, one row for each selection (infinity and an empty source: '
    'no limit). Each transaction of a rebuild moves its position; its last one deletes the row.';
COMMENT ON COLUMN realtime.call_rebuilds.rules IS
    'The release that folds. Another release begins anew instead of going on.';
