-- What can happen to a message and a conversation after they were made. Whatever participants see
-- change carries the conversation's change that made it so; resuming reads it by that number.

ALTER TABLE realtime.messages
    ADD COLUMN kind       text NOT NULL DEFAULT 'text' CHECK (kind IN ('text', 'system')),
    ADD COLUMN attrs      jsonb,
    ADD COLUMN deleted_at timestamptz,
    ADD COLUMN deleted_by bigint;

COMMENT ON COLUMN realtime.messages.attrs IS
    'What a system message says, as data: {"event": "joined", "employee_ids": [17]}.';
COMMENT ON COLUMN realtime.messages.deleted_at IS
    'With state 2. The row stays, without its text, so that numbers have no gaps.';

-- Threads are replies: counted along this index, never counted up.
CREATE INDEX messages_replies ON realtime.messages (conversation_id, reply_to_seq, seq)
    WHERE reply_to_seq IS NOT NULL AND state < 2;

CREATE TABLE realtime.message_reactions (
    conversation_id bigint      NOT NULL,
    seq             bigint      NOT NULL,
    employee_id     bigint      NOT NULL,
    emoji           text        NOT NULL,
    removed         boolean     NOT NULL DEFAULT false,
    change          bigint      NOT NULL,
    reacted_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (conversation_id, seq, employee_id, emoji),
    FOREIGN KEY (conversation_id, seq) REFERENCES realtime.messages ON DELETE CASCADE
);

COMMENT ON TABLE realtime.message_reactions IS
    'A table of its own: an UPDATE of the message''s row would end its index-only counting.';
COMMENT ON COLUMN realtime.message_reactions.removed IS
    'A reaction taken back stays as a row, so that who resumes hears of it.';

CREATE INDEX message_reactions_change ON realtime.message_reactions (conversation_id, change);

ALTER TABLE realtime.conversations
    ADD COLUMN info_change bigint NOT NULL DEFAULT 1,
    ADD COLUMN avatar_url  text,
    ADD COLUMN closed_at   timestamptz,
    ADD COLUMN history     text NOT NULL DEFAULT 'all' CHECK (history IN ('all', 'joined'));

COMMENT ON COLUMN realtime.conversations.info_change IS
    'The change that last touched title, picture, closing or history.';
COMMENT ON COLUMN realtime.conversations.history IS
    'What someone who joins later may read: all of it, or what came since they joined.';

ALTER TABLE realtime.conversation_participants
    ADD COLUMN pinned_at    timestamptz,
    ADD COLUMN notify       text   NOT NULL DEFAULT 'all'
                            CHECK (notify IN ('all', 'mentions', 'none')),
    ADD COLUMN mine_version bigint NOT NULL DEFAULT 0,
    ADD COLUMN marked_seq   bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN realtime.conversation_participants.marked_seq IS
    'With manual_unread: the newest message when it was marked. Reading up to there does not undo '
    'it: that is a window which was open already.';
COMMENT ON COLUMN realtime.conversation_participants.mine_version IS
    'Grows with every change of what only this person sees: archived, pinned, muted, notify.';

CREATE INDEX conversation_participants_change
    ON realtime.conversation_participants (conversation_id, change);

-- What every statement that shows messages reads, so that all show the same. It is inlined: of a
-- page's rows only, and only of the columns that are asked for.
CREATE VIEW realtime.shown_messages AS
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
       ) END AS reactions
  FROM realtime.messages AS m;
