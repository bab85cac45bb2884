-- Files that people attach to messages: who declared which, and where its bytes are kept.

CREATE TABLE realtime.attachments (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    conversation_id bigint      REFERENCES realtime.conversations ON DELETE SET NULL,
    employee_id     bigint      NOT NULL,
    name            text        NOT NULL,
    content_type    text        NOT NULL,
    size            bigint      NOT NULL CHECK (size > 0),
    sha256          text        CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    key             text        NOT NULL UNIQUE CHECK (key ~ '^[0-9a-f]{32}$'),
    state           text        NOT NULL DEFAULT 'declared'
                                CHECK (state IN ('declared', 'stored', 'attached', 'gone')),
    seq             bigint      CHECK (state <> 'attached' OR seq IS NOT NULL),
    created_at      timestamptz NOT NULL DEFAULT now(),
    due_at          timestamptz NOT NULL
) WITH (fillfactor = 80);

COMMENT ON COLUMN realtime.attachments.conversation_id IS
    'NULL once the conversation is gone: the row stays until its bytes are removed, too.';
COMMENT ON COLUMN realtime.attachments.key IS
    'Where the bytes are in the storage: random, so that knowing one says nothing of another.';
COMMENT ON COLUMN realtime.attachments.state IS
    'declared: announced, its bytes may be on their way; stored: they are there and were looked '
    'at; attached: part of message seq; gone: to be removed from the storage.';
COMMENT ON COLUMN realtime.attachments.due_at IS
    'When the sweeper takes the row, unless it is attached by then.';

-- Of files that are part of a message there are millions, and the sweeper wants none of them.
CREATE INDEX attachments_due ON realtime.attachments (due_at)
    WHERE state <> 'attached' OR conversation_id IS NULL;
-- What somebody has declared and not yet sent.
CREATE INDEX attachments_pending ON realtime.attachments (employee_id) INCLUDE (size)
    WHERE state IN ('declared', 'stored');
-- A message's files, when it is deleted; a conversation's, when that is.
CREATE INDEX attachments_message ON realtime.attachments (conversation_id, seq);

COMMENT ON COLUMN realtime.messages.attachments IS
    'What everybody is told of its files: [{attachment_id, name, content_type, size}].';

-- As before, with the attachments.
CREATE OR REPLACE VIEW realtime.shown_messages AS
SELECT m.conversation_id, m.seq, m.change, m.sender_id, m.state, m.client_key, m.body, m.created_at,
       m.kind, m.attrs, m.reply_to_seq, m.mention_ids, m.mention_all, m.edited_at, m.deleted_at,
       (SELECT count(*)
          FROM realtime.messages AS reply
         WHERE reply.conversation_id = m.conversation_id AND reply.reply_to_seq = m.seq
           AND reply.state < 2) AS reply_count,
       CASE WHEN m.state < 2 THEN (
           SELECT jsonb_agg(jsonb_build_object('emoji', emoji, 'employee_ids', employee_ids)
                            ORDER BY first)
             FROM (SELECT r.emoji, min(r.change) AS first,
                          jsonb_agg(r.employee_id ORDER BY r.change) AS employee_ids
                     FROM realtime.message_reactions AS r
                    WHERE r.conversation_id = m.conversation_id AND r.seq = m.seq
                      AND NOT r.removed
                    GROUP BY r.emoji) AS reacted
       ) END AS reactions,
       m.attachments
  FROM realtime.messages AS m;
