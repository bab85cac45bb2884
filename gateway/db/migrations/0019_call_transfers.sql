-- Calls handed on, as they were folded: who did it, to whom, and whether anybody took them. They
-- outlive the events that told of them.

CREATE TABLE realtime.call_transfers (
    call_id      uuid        NOT NULL REFERENCES realtime.call_sessions (id) ON DELETE CASCADE,
    position     smallint    NOT NULL,
    kind         text        NOT NULL CHECK (kind IN ('blind', 'attended', 'blonde', 'threeway')),
    at           timestamptz NOT NULL,
    by_leg_key   text,
    by_extension text,
    to_number    text,
    to_extension text,
    queue        text,
    answered_at  timestamptz,
    consult_ms   bigint,
    PRIMARY KEY (call_id, position)
);

COMMENT ON TABLE realtime.call_transfers IS
    'One row each time a call was handed on. blonde: the other was asked first, and still rang. '
    'answered_at is null where nobody took it; consult_ms is what was talked before.';

CREATE INDEX call_transfers_at ON realtime.call_transfers (at) INCLUDE (call_id, by_leg_key);

DROP INDEX realtime.call_events_transfers;
