-- What people add to a call: how it went, notes, where its recordings are, and how it was graded.

-- The catalogue is the CRM's: it writes here, the gateway only reads.
CREATE TABLE realtime.dispositions (
    code      text    PRIMARY KEY CHECK (code ~ '^[a-z0-9_.-]{1,64}$'),
    label     text    NOT NULL CHECK (char_length(label) BETWEEN 1 AND 200),
    direction text    CHECK (direction IN ('inbound', 'outbound', 'internal')),
    active    boolean NOT NULL DEFAULT true,
    position  integer NOT NULL DEFAULT 0 CHECK (position >= 0)
);

COMMENT ON COLUMN realtime.dispositions.direction IS
    'Calls that it is for; NULL: any.';
COMMENT ON COLUMN realtime.dispositions.active IS
    'false: calls that have it keep it, no other gets it.';

CREATE TABLE realtime.call_annotations (
    call_id     uuid        PRIMARY KEY REFERENCES realtime.call_sessions (id) ON DELETE CASCADE,
    version     bigint      NOT NULL DEFAULT 0,
    disposition text        REFERENCES realtime.dispositions (code) ON UPDATE CASCADE,
    set_by      bigint,
    set_at      timestamptz
) WITH (fillfactor = 70);

COMMENT ON TABLE realtime.call_annotations IS
    'The disposition of a call, and a version that rises with it and with every note.';
COMMENT ON COLUMN realtime.call_annotations.set_at IS
    'When the disposition was set or taken away; NULL: never.';

CREATE INDEX call_annotations_disposition ON realtime.call_annotations (disposition)
    WHERE disposition IS NOT NULL;

CREATE TABLE realtime.call_notes (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    call_id    uuid        NOT NULL REFERENCES realtime.call_sessions (id) ON DELETE CASCADE,
    author_id  bigint      NOT NULL,
    client_key uuid        NOT NULL,
    text       text        NOT NULL CHECK (char_length(text) <= 4000),
    created_at timestamptz NOT NULL DEFAULT now(),
    edited_at  timestamptz,
    deleted_at timestamptz,
    UNIQUE (author_id, client_key)
) WITH (fillfactor = 80);

COMMENT ON COLUMN realtime.call_notes.client_key IS
    'Chosen by the client: a retry finds its note, also when the call has been merged meanwhile.';

CREATE INDEX call_notes_call ON realtime.call_notes (call_id, id) WHERE deleted_at IS NULL;

-- What was added to a call before it became part of another belongs to that one: it is looked for.
CREATE INDEX call_sessions_merged ON realtime.call_sessions (merged_into)
    WHERE merged_into IS NOT NULL;

-- Written by ingest, like legs and stays.
CREATE TABLE realtime.call_recordings (
    call_id     uuid        NOT NULL REFERENCES realtime.call_sessions (id) ON DELETE CASCADE,
    id          uuid        NOT NULL,
    recording   text        NOT NULL,
    leg_key     text,
    extension   text,
    state       text        NOT NULL CHECK (state IN ('recording', 'stopped', 'ready', 'failed')),
    started_at  timestamptz NOT NULL,
    stopped_at  timestamptz,
    duration_ms bigint,
    channels    integer,
    url         text,
    PRIMARY KEY (call_id, id)
);

COMMENT ON COLUMN realtime.call_recordings.recording IS
    'What the PBX calls it; id is derived from that, and stays.';
COMMENT ON COLUMN realtime.call_recordings.url IS
    'http or https, or a path that the setting recordings_url of the PBX turns into one.';

CREATE TABLE realtime.scorecards (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    version    integer     NOT NULL CHECK (version >= 1),
    criteria   jsonb       NOT NULL CHECK (jsonb_typeof(criteria) = 'array'),
    active     boolean     NOT NULL DEFAULT true,
    created_by bigint      NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (name, version)
);

COMMENT ON TABLE realtime.scorecards IS
    'By what calls are graded. An edited scorecard is a new version; reviews keep theirs.';
COMMENT ON COLUMN realtime.scorecards.criteria IS
    '[{key, label, weight, max}]; points of a criterion go from 0 to max.';

-- 100 * sum(weight * points / max) / sum(weight), over the criteria that have points; NULL when
-- none has.
CREATE FUNCTION realtime.review_score(criteria jsonb, points jsonb) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT round(100 * sum((c ->> 'weight')::numeric * (points ->> (c ->> 'key'))::numeric
                           / (c ->> 'max')::numeric)
                     / sum((c ->> 'weight')::numeric), 2)
      FROM jsonb_array_elements(criteria) AS c
     WHERE points ->> (c ->> 'key') IS NOT NULL
);

COMMENT ON FUNCTION realtime.review_score IS
    'Percent: the mean of what each criterion got of its maximum, by weight; criteria without '
    'points do not apply and do not count.';

CREATE TABLE realtime.call_reviews (
    id              bigint       GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    call_id         uuid         NOT NULL
                    REFERENCES realtime.call_sessions (id) ON DELETE CASCADE,
    agent_id        bigint       NOT NULL,
    reviewer_id     bigint       NOT NULL CHECK (reviewer_id <> agent_id),
    scorecard_id    bigint       NOT NULL REFERENCES realtime.scorecards (id),
    points          jsonb        NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(points) = 'object'),
    score           numeric(5,2) CHECK (score BETWEEN 0 AND 100),
    comment         text         NOT NULL DEFAULT '',
    state           text         NOT NULL DEFAULT 'draft'
        CHECK (state IN ('draft', 'published', 'acknowledged', 'disputed', 'resolved')),
    version         bigint       NOT NULL DEFAULT 1,
    created_at      timestamptz  NOT NULL DEFAULT now(),
    published_at    timestamptz  CHECK ((state = 'draft') = (published_at IS NULL)),
    acknowledged_at timestamptz,
    dispute         text,
    disputed_at     timestamptz,
    resolution      text         CHECK (resolution IN ('upheld', 'changed')),
    resolution_text text,
    resolved_by     bigint       CHECK (resolved_by <> agent_id),
    resolved_at     timestamptz,
    UNIQUE (call_id, agent_id, reviewer_id)
) WITH (fillfactor = 80);

COMMENT ON TABLE realtime.call_reviews IS
    'One reviewer''s grading of one agent''s part of one call.';
COMMENT ON COLUMN realtime.call_reviews.score IS
    'realtime.review_score of the scorecard''s criteria and the points.';

CREATE INDEX call_reviews_newest ON realtime.call_reviews (created_at DESC, id DESC);
CREATE INDEX call_reviews_agent ON realtime.call_reviews (agent_id, created_at DESC, id DESC);
CREATE INDEX call_reviews_reviewer ON realtime.call_reviews (reviewer_id, created_at DESC, id DESC);
CREATE INDEX call_reviews_published ON realtime.call_reviews (published_at)
    WHERE published_at IS NOT NULL;
