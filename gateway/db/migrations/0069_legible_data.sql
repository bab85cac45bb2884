-- What the CRM stores as data is read again by the gateway, which parses fewer levels than jsonb has,
-- and no number beyond those of IEEE 754: one such message, and nobody could read the conversation.

CREATE FUNCTION realtime.is_legible(data jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT NOT jsonb_path_exists(data, 'strict $.**{100 to last}')
           AND NOT jsonb_path_exists(data, 'strict $.** ? (@.type() == "number"
                                            && (@ > 1.797e308 || @ < -1.797e308))')
$$;

COMMENT ON FUNCTION realtime.is_legible IS
    'Whether data has at most 100 levels, and numbers that every program can read.';

-- Same arguments as before: the grants stay.
CREATE OR REPLACE FUNCTION realtime.send_message(
    conversation_id bigint,
    sender_id       bigint,
    body            text,
    client_key      uuid    DEFAULT NULL,
    reply_to_seq    bigint  DEFAULT NULL,
    silent          boolean DEFAULT false,
    attrs           jsonb   DEFAULT NULL
) RETURNS TABLE (seq bigint, change bigint)
-- DEFINER with a fixed path, as before: the CRM's role needs no right on any table.
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
    IF NOT realtime.shows_something(body) THEN
        RAISE EXCEPTION 'A message shows something: not only spaces and invisible characters.'
            USING ERRCODE = 'RT004', DETAIL = 'command.invalid', HINT = 'body';
    END IF;
    IF attrs IS NOT NULL
       AND (jsonb_typeof(attrs) <> 'object' OR octet_length(attrs::text) > 8000
            OR NOT realtime.is_legible(attrs)) THEN
        RAISE EXCEPTION 'attrs is an object of at most 8,000 bytes and 100 levels.'
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
            SELECT m.seq, m.change, m.body, m.reply_to_seq, m.attachments, m.edited_at,
                   m.deleted_at INTO sent
              FROM realtime.messages AS m
             WHERE m.conversation_id = send_message.conversation_id
               AND m.sender_id IS NULL AND m.client_key = send_message.client_key;
        ELSE
            SELECT m.seq, m.change, m.body, m.reply_to_seq, m.attachments, m.edited_at,
                   m.deleted_at INTO sent
              FROM realtime.messages AS m
             WHERE m.conversation_id = send_message.conversation_id
               AND m.sender_id = send_message.sender_id
               AND m.client_key = send_message.client_key;
        END IF;
        IF FOUND THEN
            -- The first text of an edited or deleted message is not stored: it is not compared.
            IF sent.reply_to_seq IS DISTINCT FROM send_message.reply_to_seq
               OR (sent.body <> send_message.body
                   AND sent.edited_at IS NULL AND sent.deleted_at IS NULL)
               OR (sent.attachments IS NOT NULL AND sent.deleted_at IS NULL) THEN
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

    -- As on the socket: <@17> mentions a participant, <@all> mentions everybody. <@all> is for the
    -- system, owners, admins, holders of the permission, and any member of up to 20 participants.
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
               mine_version = p.mine_version + p.manual_unread::int, manual_unread = false,
               marked_seq = CASE WHEN p.manual_unread THEN room.last_seq ELSE p.marked_seq END
         WHERE p.conversation_id = send_message.conversation_id
           AND p.employee_id = send_message.sender_id;
        UPDATE realtime.drafts AS d
           SET text = '', reply_to_seq = NULL, version = d.version + 1,
               updated_at = greatest(room.last_message_at, d.updated_at)
         WHERE d.employee_id = send_message.sender_id
           AND d.conversation_id = send_message.conversation_id AND d.text <> '';
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
