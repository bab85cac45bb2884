-- What a PBX said word for word, for some days: a table of its own, so that it goes before the event.

-- By the day of receipt, which is never odd: a day is dropped as a table. received_at is that of
-- the event's own row, being of the same transaction, so a message is found through its event; in
-- this order rows are added at the end of the index, and event_id alone would be at random places.
CREATE TABLE realtime.call_event_payloads (
    source      text        NOT NULL,
    event_id    uuid        NOT NULL,
    payload     jsonb       NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (received_at, event_id, source)
) PARTITION BY RANGE (received_at);

CREATE TABLE realtime.call_event_payloads_default PARTITION OF realtime.call_event_payloads DEFAULT;

COMMENT ON TABLE realtime.call_event_payloads IS
    'The message that a PBX sent, with the first of the events that it told of; kept for '
    'GATEWAY_PBX_PAYLOAD_DAYS.';
