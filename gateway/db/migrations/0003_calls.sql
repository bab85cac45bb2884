-- Calls: what the PBX said (facts), what follows from it (sessions, legs, stays in queues), and
-- whom nobody talked to.

-- The facts. Partitioned by month so that retention drops tables instead of deleting rows; the
-- default partition takes odd times, so that no event is ever refused for want of a partition.
CREATE TABLE realtime.call_events (
    source       text        NOT NULL,
    event_id     uuid        NOT NULL,
    type         text        NOT NULL,
    occurred_at  timestamptz NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT now(),
    time_quality text        NOT NULL,
    native_type  text,
    call_id      uuid,
    call_key     text,
    leg_key      text,
    peer_leg_key text,
    queue        text,
    extension    text,
    attrs        jsonb       NOT NULL DEFAULT '{}'
) PARTITION BY RANGE (occurred_at);

CREATE TABLE realtime.call_events_default PARTITION OF realtime.call_events DEFAULT;

CREATE INDEX call_events_call ON realtime.call_events (call_id, occurred_at)
    WHERE call_id IS NOT NULL;
CREATE INDEX call_events_default_time ON realtime.call_events_default (occurred_at);

-- Which events are known already. A table of its own, because a unique key of a partitioned table
-- must contain the partition key: with occurred_at in it, an event that comes again with another
-- time (a replay shifted to today, a relay that stamps anew) would be stored twice.
CREATE TABLE realtime.call_event_keys (
    event_id   uuid        NOT NULL,
    source     text        NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, source)
);

-- Rows come in the order of first_seen, so the smallest kind of index finds the old ones.
CREATE INDEX call_event_keys_old ON realtime.call_event_keys USING brin (first_seen);

CREATE TABLE realtime.call_sessions (
    id                 uuid        PRIMARY KEY,
    source             text        NOT NULL,
    version            bigint      NOT NULL,
    direction          text        NOT NULL CHECK (direction IN ('inbound', 'outbound', 'internal')),
    status             text        NOT NULL
        CHECK (status IN ('created', 'waiting', 'ringing', 'talking', 'ended')),
    outcome            text CHECK (outcome IN
        ('answered', 'abandoned', 'missed', 'timeout', 'left_queue', 'failed', 'unknown')),
    number_raw         text,
    number_e164        text,
    caller_name        text,
    queue              text,
    started_at         timestamptz NOT NULL,
    answered_at        timestamptz,
    ended_at           timestamptz,
    wait_ms            bigint,
    talk_ms            bigint,
    answered_extension text,
    merged_into        uuid,
    first_event_at     timestamptz NOT NULL,
    last_event_at      timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

COMMENT ON COLUMN realtime.call_sessions.merged_into IS
    'This call turned out to be part of that one (an attended transfer); it is over.';
COMMENT ON COLUMN realtime.call_sessions.first_event_at IS
    'With last_event_at: where this call''s events lie, so that folding reads one partition.';

CREATE INDEX call_sessions_newest ON realtime.call_sessions (started_at DESC, id DESC);
CREATE INDEX call_sessions_number
    ON realtime.call_sessions (number_e164, started_at DESC, id DESC) WHERE number_e164 IS NOT NULL;
CREATE INDEX call_sessions_live
    ON realtime.call_sessions (started_at DESC, id DESC) WHERE ended_at IS NULL;

CREATE TABLE realtime.call_aliases (
    source     text        NOT NULL,
    key        text        NOT NULL,
    call_id    uuid        NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, key)
);

COMMENT ON TABLE realtime.call_aliases IS
    'Native ids (Linkedid, Uniqueid, Core-UUID, CallSid) of a call. Ids that one event names '
    'together belong to one call, transitively: a Linkedid changes in every attended transfer.';

CREATE INDEX call_aliases_call ON realtime.call_aliases (call_id);
CREATE INDEX call_aliases_old ON realtime.call_aliases USING brin (first_seen);

CREATE TABLE realtime.call_legs (
    call_id      uuid     NOT NULL REFERENCES realtime.call_sessions (id) ON DELETE CASCADE,
    leg_key      text     NOT NULL,
    position     smallint NOT NULL,
    extension    text,
    kind         text     NOT NULL CHECK (kind IN ('external', 'agent')),
    status       text     NOT NULL
        CHECK (status IN ('created', 'ringing', 'talking', 'held', 'ended')),
    ringing_at   timestamptz,
    answered_at  timestamptz,
    ended_at     timestamptz,
    ended_reason text,
    talk_ms      bigint,
    hold_ms      bigint,
    PRIMARY KEY (call_id, leg_key)
) WITH (fillfactor = 70);

CREATE INDEX call_legs_extension ON realtime.call_legs (extension, call_id)
    WHERE extension IS NOT NULL;

CREATE TABLE realtime.queue_stints (
    call_id     uuid        NOT NULL REFERENCES realtime.call_sessions (id) ON DELETE CASCADE,
    position    smallint    NOT NULL,
    queue       text        NOT NULL,
    entered_at  timestamptz NOT NULL,
    answered_at timestamptz,
    left_at     timestamptz,
    outcome     text,
    wait_ms     bigint,
    PRIMARY KEY (call_id, position)
) WITH (fillfactor = 70);

COMMENT ON TABLE realtime.queue_stints IS
    'One stay of a call in one queue: what waiting, answering and losing is counted in. '
    'outcome is null while the caller waits.';

CREATE INDEX queue_stints_queue ON realtime.queue_stints (queue, entered_at)
    INCLUDE (outcome, wait_ms);

CREATE TABLE realtime.missed_calls (
    call_id     uuid        PRIMARY KEY REFERENCES realtime.call_sessions (id) ON DELETE CASCADE,
    source      text        NOT NULL,
    number_raw  text,
    number_e164 text,
    queue       text,
    outcome     text        NOT NULL,
    started_at  timestamptz NOT NULL,
    ended_at    timestamptz NOT NULL,
    wait_ms     bigint
);

COMMENT ON TABLE realtime.missed_calls IS
    'One row for each inbound call that nobody talked to; none for a telephone that stopped '
    'ringing because a colleague answered.';

CREATE INDEX missed_calls_newest ON realtime.missed_calls (started_at DESC, call_id DESC);
CREATE INDEX missed_calls_number ON realtime.missed_calls (number_e164, started_at DESC)
    WHERE number_e164 IS NOT NULL;

-- Events that could not be stored, with the reason: nothing a PBX says disappears silently.
CREATE TABLE realtime.ingest_rejects (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source      text        NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT now(),
    code        text        NOT NULL,
    message     text        NOT NULL,
    event       text        NOT NULL
);

CREATE INDEX ingest_rejects_when ON realtime.ingest_rejects (rejected_at);
