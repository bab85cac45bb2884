-- Conversations, who is in them, and their messages, numbered under the conversation's row lock.

CREATE TABLE realtime.conversations (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind            text        NOT NULL CHECK (kind IN ('direct', 'group', 'client')),
    direct_key      text        CHECK ((kind = 'direct') = (direct_key IS NOT NULL)),
    title           text,
    created_by      bigint,
    created_at      timestamptz NOT NULL DEFAULT now(),
    last_seq        bigint      NOT NULL DEFAULT 0,
    last_change     bigint      NOT NULL DEFAULT 0,
    last_message_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

COMMENT ON COLUMN realtime.conversations.direct_key IS
    'Both employees'' ids, the smaller first: "3:17". Unique, so that opening twice finds one.';
COMMENT ON COLUMN realtime.conversations.last_seq IS
    'Number of the newest message; messages are numbered 1, 2, 3 … without gaps.';
COMMENT ON COLUMN realtime.conversations.last_change IS
    'Number of the newest visible change; what a client resumes from.';

-- last_seq, last_change and last_message_at stand in no index: every send updates them, and with
-- half-filled pages (fillfactor 50) each such update is HOT.
CREATE UNIQUE INDEX conversations_direct_key ON realtime.conversations (direct_key)
    WHERE direct_key IS NOT NULL;

CREATE TABLE realtime.conversation_participants (
    conversation_id    bigint      NOT NULL REFERENCES realtime.conversations ON DELETE CASCADE,
    employee_id        bigint      NOT NULL,
    role               text        NOT NULL DEFAULT 'member'
                                   CHECK (role IN ('owner', 'admin', 'member')),
    change             bigint      NOT NULL,
    joined_at          timestamptz NOT NULL DEFAULT now(),
    joined_seq         bigint      NOT NULL DEFAULT 0,
    left_seq           bigint,
    last_read_seq      bigint      NOT NULL DEFAULT 0,
    last_read_at       timestamptz,
    read_version       bigint      NOT NULL DEFAULT 0,
    last_delivered_seq bigint      NOT NULL DEFAULT 0,
    manual_unread      boolean     NOT NULL DEFAULT false,
    archived_seq       bigint,
    muted_until        timestamptz,
    PRIMARY KEY (conversation_id, employee_id)
) WITH (fillfactor = 70);

COMMENT ON COLUMN realtime.conversation_participants.change IS
    'The conversation''s change that last touched this membership.';
COMMENT ON COLUMN realtime.conversation_participants.read_version IS
    'Grows with every move of the read position; last_change + read_version orders unread counts.';

-- last_read_seq is in no index either: marking read is a HOT update.
CREATE INDEX conversation_participants_employee
    ON realtime.conversation_participants (employee_id, conversation_id)
    WHERE left_seq IS NULL;

CREATE TABLE realtime.messages (
    conversation_id bigint      NOT NULL REFERENCES realtime.conversations ON DELETE CASCADE,
    seq             bigint      NOT NULL,
    id              bigint      GENERATED ALWAYS AS IDENTITY,
    sender_id       bigint,
    state           smallint    NOT NULL DEFAULT 0 CHECK (state IN (0, 1, 2)),
    mention_all     boolean     NOT NULL DEFAULT false,
    mention_ids     bigint[],
    reply_to_seq    bigint,
    client_key      uuid,
    body            text        NOT NULL,
    attachments     jsonb,
    change          bigint      NOT NULL,
    created_at      timestamptz NOT NULL,
    edited_at       timestamptz,
    -- One index answers order, paging both ways, jumps and the unread count (index-only).
    PRIMARY KEY (conversation_id, seq) INCLUDE (sender_id, state)
);

COMMENT ON COLUMN realtime.messages.state IS
    '0 counts as unread, 1 is silent, 2 is deleted.';
COMMENT ON COLUMN realtime.messages.sender_id IS
    'crm.employees.id; NULL for the system.';

CREATE UNIQUE INDEX messages_client_key
    ON realtime.messages (conversation_id, sender_id, client_key) WHERE client_key IS NOT NULL;
CREATE INDEX messages_change ON realtime.messages (conversation_id, change);
-- Few messages mention anyone: this index holds only those.
CREATE INDEX messages_mentions
    ON realtime.messages (conversation_id, seq) INCLUDE (sender_id, mention_all, mention_ids)
    WHERE state = 0 AND (mention_all OR mention_ids IS NOT NULL);

-- Unread messages are the newest pages, and only vacuum makes those index-only: vacuum early.
ALTER TABLE realtime.messages SET (
    autovacuum_vacuum_insert_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0.01
);
