-- What people have begun to write, and what is to be sent later.

CREATE TABLE realtime.drafts (
    employee_id     bigint      NOT NULL,
    conversation_id bigint      NOT NULL REFERENCES realtime.conversations ON DELETE CASCADE,
    text            text        NOT NULL,
    reply_to_seq    bigint,
    version         bigint      NOT NULL DEFAULT 1,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (employee_id, conversation_id)
) WITH (fillfactor = 70);

COMMENT ON TABLE realtime.drafts IS
    'A cleared draft stays as a row without text, so that its version never runs backwards.';

CREATE INDEX drafts_conversation ON realtime.drafts (conversation_id);
CREATE INDEX drafts_newest ON realtime.drafts (employee_id, updated_at DESC, conversation_id DESC)
    WHERE text <> '';

CREATE TABLE realtime.scheduled_messages (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    employee_id     bigint      NOT NULL,
    conversation_id bigint      NOT NULL REFERENCES realtime.conversations ON DELETE CASCADE,
    client_key      uuid        NOT NULL,
    text            text        NOT NULL,
    send_at         timestamptz NOT NULL,
    state           text        NOT NULL DEFAULT 'waiting'
                                CHECK (state IN ('waiting', 'sent', 'failed')),
    failed_code     text        CHECK ((state = 'failed') = (failed_code IS NOT NULL)),
    attempts        integer     NOT NULL DEFAULT 0,
    claimed_until   timestamptz,
    done_at         timestamptz,
    UNIQUE (employee_id, conversation_id, client_key)
) WITH (fillfactor = 70);

COMMENT ON COLUMN realtime.scheduled_messages.claimed_until IS
    'A node is sending it. When that node dies, another one sends it after this moment, with the '
    'same client_key: whatever had happened, it is stored once.';
COMMENT ON COLUMN realtime.scheduled_messages.state IS
    'What is sent or failed is kept for 30 days, so that scheduling it again finds it.';

CREATE INDEX scheduled_messages_due ON realtime.scheduled_messages (send_at, id)
    WHERE state = 'waiting';
CREATE INDEX scheduled_messages_done ON realtime.scheduled_messages (done_at)
    WHERE done_at IS NOT NULL;
CREATE INDEX scheduled_messages_conversation ON realtime.scheduled_messages (conversation_id);
