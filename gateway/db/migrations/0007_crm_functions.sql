-- What the CRM may call in its own transactions: its row and the chat message commit together.

-- The same promises as message.send on a socket. Everything is checked under the conversation's
-- row lock, which is held until the caller's COMMIT: a rollback consumes no number, and whoever
-- else writes there waits so long. Nobody is told by this function; the sweep finds the number.
CREATE FUNCTION realtime.send_message(
    conversation_id bigint,
    sender_id       bigint,
    body            text,
    client_key      uuid    DEFAULT NULL,
    reply_to_seq    bigint  DEFAULT NULL,
    silent          boolean DEFAULT false,
    attrs           jsonb   DEFAULT NULL
) RETURNS TABLE (seq bigint, change bigint)
-- DEFINER: the CRM's role needs no right on any table. The path is fixed, or a caller's table
-- called "messages" would be written with the owner's rights.
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    room     record;
    rank     text;
    joined   bigint;
    sent     record;
    mentions bigint[];
    everyone boolean := position('<@all>' IN body) > 0;
BEGIN
    IF body IS NULL OR char_length(body) NOT BETWEEN 1 AND 8000 THEN
        RAISE EXCEPTION 'A message has 1 to 8,000 characters.'
            USING ERRCODE = 'RT004', DETAIL = 'command.invalid', HINT = 'body';
    END IF;
    IF attrs IS NOT NULL
       AND (jsonb_typeof(attrs) <> 'object' OR octet_length(attrs::text) > 8000) THEN
        RAISE EXCEPTION 'attrs is an object of at most 8,000 bytes.'
            USING ERRCODE = 'RT004', DETAIL = 'command.invalid', HINT = 'attrs';
    END IF;

    SELECT c.closed_at, c.history INTO room
      FROM realtime.conversations AS c
     WHERE c.id = send_message.conversation_id
       FOR NO KEY UPDATE;
    IF FOUND AND send_message.sender_id IS NOT NULL THEN
        SELECT p.role, p.joined_seq INTO rank, joined
          FROM realtime.conversation_participants AS p
         WHERE p.conversation_id = send_message.conversation_id
           AND p.employee_id = send_message.sender_id AND p.left_seq IS NULL;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'There is no such conversation, or this sender is not in it.'
            USING ERRCODE = 'RT001', DETAIL = 'conversation.not_found';
    END IF;

    IF send_message.client_key IS NOT NULL THEN
        -- Two statements, because IS NOT DISTINCT FROM uses no index.
        IF send_message.sender_id IS NULL THEN
            SELECT m.seq, m.change, m.body, m.reply_to_seq, m.edited_at, m.deleted_at INTO sent
              FROM realtime.messages AS m
             WHERE m.conversation_id = send_message.conversation_id
               AND m.sender_id IS NULL AND m.client_key = send_message.client_key;
        ELSE
            SELECT m.seq, m.change, m.body, m.reply_to_seq, m.edited_at, m.deleted_at INTO sent
              FROM realtime.messages AS m
             WHERE m.conversation_id = send_message.conversation_id
               AND m.sender_id = send_message.sender_id
               AND m.client_key = send_message.client_key;
        END IF;
        IF FOUND THEN
            -- Of an edited or deleted message nobody knows any more what it said at first.
            IF sent.reply_to_seq IS DISTINCT FROM send_message.reply_to_seq
               OR (sent.body <> send_message.body
                   AND sent.edited_at IS NULL AND sent.deleted_at IS NULL) THEN
                RAISE EXCEPTION 'This client_key was used before for a message with other content.'
                    USING ERRCODE = 'RT003', DETAIL = 'message.client_key_reused';
            END IF;
            seq := sent.seq;
            change := sent.change;
            RETURN NEXT;
            RETURN;
        END IF;
    END IF;

    IF room.closed_at IS NOT NULL THEN
        RAISE EXCEPTION 'This conversation is closed.'
            USING ERRCODE = 'RT002', DETAIL = 'conversation.closed';
    END IF;
    IF send_message.reply_to_seq IS NOT NULL AND NOT EXISTS (
           SELECT FROM realtime.messages AS m
            WHERE m.conversation_id = send_message.conversation_id
              AND m.seq = send_message.reply_to_seq AND m.state < 2
              AND (send_message.sender_id IS NULL OR room.history = 'all'
                   OR m.seq > joined)) THEN
        RAISE EXCEPTION 'There is no such message to answer.'
            USING ERRCODE = 'RT005', DETAIL = 'message.not_found', HINT = 'reply_to_seq';
    END IF;

    -- As on the socket: <@17> names a participant; <@all> everybody, which the system, owners and
    -- admins may, who has the permission, and anyone where at most 20 people are.
    IF everyone AND rank = 'member' THEN
        everyone := (SELECT count(*) <= 20
                       FROM realtime.conversation_participants AS p
                      WHERE p.conversation_id = send_message.conversation_id
                        AND p.left_seq IS NULL)
                 OR EXISTS (SELECT FROM crm.permissions AS p
                             WHERE p.employee_id = send_message.sender_id
                               AND p.permission = 'messages.mention_all');
    END IF;
    SELECT array_agg(named.id ORDER BY named.place) INTO mentions
      FROM (SELECT p.employee_id AS id, min(n.place) AS place
              FROM regexp_matches(send_message.body, '<@([1-9][0-9]{0,18})>', 'g')
                   WITH ORDINALITY AS n (found, place)
              JOIN realtime.conversation_participants AS p
                ON p.conversation_id = send_message.conversation_id AND p.left_seq IS NULL
               AND p.employee_id::text = n.found[1]  -- a number may be beyond bigint
             GROUP BY p.employee_id
             ORDER BY place
             LIMIT 100) AS named;

    UPDATE realtime.conversations AS c
       SET last_seq = c.last_seq + 1,
           last_change = c.last_change + 1,
           last_message_at = greatest(c.last_message_at, clock_timestamp())
     WHERE c.id = send_message.conversation_id
    RETURNING c.last_seq, c.last_change, c.last_message_at INTO room;
    IF send_message.sender_id IS NOT NULL THEN
        UPDATE realtime.conversation_participants AS p
           SET last_read_seq = room.last_seq, last_read_at = room.last_message_at,
               manual_unread = false
         WHERE p.conversation_id = send_message.conversation_id
           AND p.employee_id = send_message.sender_id;
    END IF;
    INSERT INTO realtime.messages
           (conversation_id, seq, change, sender_id, client_key, body, created_at, kind, state,
            attrs, reply_to_seq, mention_all, mention_ids)
    VALUES (send_message.conversation_id, room.last_seq, room.last_change, send_message.sender_id,
            send_message.client_key, send_message.body, room.last_message_at,
            CASE WHEN send_message.sender_id IS NULL THEN 'system' ELSE 'text' END,
            coalesce(send_message.silent, false)::int, send_message.attrs,
            send_message.reply_to_seq, everyone, mentions);
    seq := room.last_seq;
    change := room.last_change;
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION realtime.send_message IS
    'Send a chat message in your own transaction; sender_id NULL is the system. Errors: RT001 no '
    'such conversation or not in it, RT002 closed, RT003 client_key used for another text, RT004 '
    'a bad argument, RT005 nothing there to answer.';

-- Whoever may call it sends in anybody's name: only roles that are granted it.
REVOKE ALL ON FUNCTION realtime.send_message FROM PUBLIC;

-- The other index takes two NULL senders for different ones.
CREATE UNIQUE INDEX messages_system_key ON realtime.messages (conversation_id, client_key)
    WHERE sender_id IS NULL AND client_key IS NOT NULL;
