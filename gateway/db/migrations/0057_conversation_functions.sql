-- The CRM opens conversations and changes who is in them, in its own transactions.

CREATE TABLE realtime.crm_conversations (
    -- Checked at the COMMIT: the key is taken before the conversation is there.
    conversation_id bigint PRIMARY KEY
                    REFERENCES realtime.conversations ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    external_key    text   UNIQUE CHECK (char_length(external_key) BETWEEN 1 AND 200),
    managed         boolean NOT NULL
);

COMMENT ON TABLE realtime.crm_conversations IS
    'Conversations that realtime.open_conversation() has opened under a key, or without an owner.';
COMMENT ON COLUMN realtime.crm_conversations.external_key IS
    'The CRM''s own name for it, such as "deal:17": opening it again returns the same conversation.';
COMMENT ON COLUMN realtime.crm_conversations.managed IS
    'Nobody owns it: the CRM alone says who is in it, and no owner is looked for.';

CREATE TABLE realtime.membership_changes (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    changed_at      timestamptz NOT NULL DEFAULT now(),
    conversation_id bigint      NOT NULL,
    change          bigint      NOT NULL,
    joined          bigint[]    NOT NULL DEFAULT '{}',
    removed         bigint[]    NOT NULL DEFAULT '{}'
);

CREATE INDEX membership_changes_at ON realtime.membership_changes (changed_at);

COMMENT ON TABLE realtime.membership_changes IS
    'Who was added and removed by functions in the last hour: nodes look for it every second.';
COMMENT ON COLUMN realtime.membership_changes.change IS
    'The conversation''s last change when the function was done.';

-- One line, in its own direction, of which a reader sees something: as gateway/protocol/frame.py
-- (Line), with the characters of gateway/characters.py.
CREATE FUNCTION realtime.is_line(said text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT realtime.shows_something(said) AND said !~ (
        '[\u0001-\u001f\u007f-\u009f\u2028\u2029'
        || '\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]')
$$;

CREATE FUNCTION realtime.check_employee_ids(employee_ids bigint[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF employee_ids IS NULL OR cardinality(employee_ids) NOT BETWEEN 1 AND 1000
       OR array_ndims(employee_ids) <> 1 OR array_position(employee_ids, NULL) IS NOT NULL
       OR EXISTS (SELECT FROM unnest(employee_ids) AS one (id) WHERE one.id < 1) THEN
        RAISE EXCEPTION 'employee_ids are 1 to 1,000 ids of crm.employees.'
            USING ERRCODE = 'RT004', DETAIL = 'command.invalid', HINT = 'employee_ids';
    END IF;
END
$$;

-- VOLATILE: it reads what is committed when it is called, after a wait for a lock.
CREATE FUNCTION realtime.check_active(employee_ids bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    missing bigint;
BEGIN
    SELECT min(asked.id) INTO missing
      FROM unnest(employee_ids) AS asked (id)
     WHERE NOT EXISTS (SELECT FROM crm.employees AS e WHERE e.id = asked.id AND e.active);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'There is no active employee %.', missing
            USING ERRCODE = 'RT008', DETAIL = 'employee.not_found';
    END IF;
END
$$;

-- The same as gateway/chat/queries/system_messages.py: the next seq and change, unread for nobody,
-- and no way out of an archive.
CREATE FUNCTION realtime.post_system_message(conversation_id bigint, attrs jsonb) RETURNS void
LANGUAGE sql VOLATILE AS $$
    WITH room AS (
        UPDATE realtime.conversations AS c
           SET last_seq = c.last_seq + 1, last_change = c.last_change + 1,
               last_message_at = greatest(c.last_message_at, clock_timestamp())
         WHERE c.id = post_system_message.conversation_id
     RETURNING c.id, c.last_seq, c.last_change, c.last_message_at
    ), still AS (
        UPDATE realtime.conversation_participants AS p
           SET archived_seq = room.last_seq
          FROM room
         WHERE p.conversation_id = room.id AND p.archived_seq >= room.last_seq - 1
    )
    INSERT INTO realtime.messages
           (conversation_id, seq, change, state, kind, attrs, body, created_at)
    SELECT room.id, room.last_seq, room.last_change, 1, 'system', post_system_message.attrs, '',
           room.last_message_at
      FROM room
$$;

-- Only INSERTs, of rows that nobody else knows yet: only who opens the same key waits.
CREATE FUNCTION realtime.open_conversation(
    title        text,
    employee_ids bigint[],
    external_key text   DEFAULT NULL,
    created_by   bigint DEFAULT NULL,
    kind         text   DEFAULT 'group'
) RETURNS TABLE (conversation_id bigint, created boolean)
-- DEFINER with a fixed path, as realtime.send_message.
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    people bigint[];
    pair   text;
BEGIN
    PERFORM realtime.check_employee_ids(open_conversation.employee_ids);
    IF open_conversation.kind IS NULL OR open_conversation.kind NOT IN ('direct', 'group') THEN
        RAISE EXCEPTION 'kind is direct or group.'
            USING ERRCODE = 'RT004', DETAIL = 'command.invalid', HINT = 'kind';
    END IF;
    people := ARRAY(SELECT DISTINCT one.id
                      FROM unnest(array_append(open_conversation.employee_ids,
                                               open_conversation.created_by)) AS one (id)
                     WHERE one.id IS NOT NULL ORDER BY one.id);

    IF open_conversation.kind = 'direct' THEN
        IF cardinality(people) <> 2 THEN
            RAISE EXCEPTION 'A direct conversation has two people.'
                USING ERRCODE = 'RT004', DETAIL = 'command.invalid', HINT = 'employee_ids';
        END IF;
        IF open_conversation.title IS NOT NULL OR open_conversation.external_key IS NOT NULL THEN
            RAISE EXCEPTION 'A direct conversation has no title and no key: its people name it.'
                USING ERRCODE = 'RT004', DETAIL = 'command.invalid', HINT = CASE
                    WHEN open_conversation.title IS NOT NULL THEN 'title' ELSE 'external_key' END;
        END IF;
        PERFORM realtime.check_active(people);
        pair := people[1] || ':' || people[2];
        INSERT INTO realtime.conversations AS c (kind, direct_key, created_by, last_change)
        VALUES ('direct', pair, open_conversation.created_by, 1)
            ON CONFLICT (direct_key) WHERE direct_key IS NOT NULL DO NOTHING
        RETURNING c.id INTO conversation_id;
        created := FOUND;
        IF NOT created THEN
            SELECT c.id INTO conversation_id
              FROM realtime.conversations AS c WHERE c.direct_key = pair;
            RETURN NEXT;
            RETURN;
        END IF;
    ELSE
        IF open_conversation.title IS NULL
           OR char_length(open_conversation.title) NOT BETWEEN 1 AND 200
           OR NOT realtime.is_line(open_conversation.title) THEN
            RAISE EXCEPTION 'The title of a group is one line of 1 to 200 characters.'
                USING ERRCODE = 'RT004', DETAIL = 'command.invalid', HINT = 'title';
        END IF;
        IF char_length(open_conversation.external_key) NOT BETWEEN 1 AND 200 THEN
            RAISE EXCEPTION 'external_key has 1 to 200 characters.'
                USING ERRCODE = 'RT004', DETAIL = 'command.invalid', HINT = 'external_key';
        END IF;
        SELECT k.conversation_id INTO conversation_id
          FROM realtime.crm_conversations AS k
         WHERE k.external_key = open_conversation.external_key;
        IF FOUND THEN
            created := false;
            RETURN NEXT;
            RETURN;
        END IF;
        IF cardinality(people) > 1000 THEN
            RAISE EXCEPTION 'A conversation has at most 1,000 participants.'
                USING ERRCODE = 'RT007', DETAIL = 'conversation.full';
        END IF;
        PERFORM realtime.check_active(people);
        conversation_id := nextval(
            pg_get_serial_sequence('realtime.conversations', 'id')::regclass);
        IF open_conversation.external_key IS NOT NULL OR open_conversation.created_by IS NULL THEN
            -- Of two that open one key at once, the second waits here for the first.
            INSERT INTO realtime.crm_conversations (conversation_id, external_key, managed)
            VALUES (open_conversation.conversation_id, open_conversation.external_key,
                    open_conversation.created_by IS NULL)
                ON CONFLICT (external_key) DO NOTHING;
            IF NOT FOUND THEN
                SELECT k.conversation_id INTO conversation_id
                  FROM realtime.crm_conversations AS k
                 WHERE k.external_key = open_conversation.external_key;
                created := false;
                RETURN NEXT;
                RETURN;
            END IF;
        END IF;
        INSERT INTO realtime.conversations (id, kind, title, created_by, last_change)
        OVERRIDING SYSTEM VALUE
        VALUES (open_conversation.conversation_id, 'group', open_conversation.title,
                open_conversation.created_by, 1);
        created := true;
    END IF;

    INSERT INTO realtime.conversation_participants (conversation_id, employee_id, role, change)
    SELECT open_conversation.conversation_id, one.id,
           CASE WHEN open_conversation.kind = 'group' AND one.id = open_conversation.created_by
                THEN 'owner' ELSE 'member' END, 1
      FROM unnest(people) AS one (id);
    INSERT INTO realtime.membership_changes (conversation_id, change, joined)
    VALUES (open_conversation.conversation_id, 1, people);
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION realtime.open_conversation IS
    'Open a conversation in your own transaction; under one external_key there is one, however '
    'often it is opened. created_by NULL: the system. Errors: RT004 a bad argument, RT007 too many '
    'people, RT008 no such active employee.';

REVOKE ALL ON FUNCTION realtime.open_conversation FROM PUBLIC;

-- Locks a conversation for a change of who is in it, as the commands do; returns whether it has no
-- owner by intent.
CREATE FUNCTION realtime.lock_for_members(conversation_id bigint, by_id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    found_kind text;
BEGIN
    SELECT c.kind INTO found_kind
      FROM realtime.conversations AS c
     WHERE c.id = lock_for_members.conversation_id
       FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'There is no such conversation.'
            USING ERRCODE = 'RT001', DETAIL = 'conversation.not_found';
    END IF;
    IF found_kind = 'direct' THEN
        RAISE EXCEPTION 'A direct conversation always has the same two people.'
            USING ERRCODE = 'RT006', DETAIL = 'conversation.direct';
    END IF;
    IF by_id IS NOT NULL THEN
        PERFORM realtime.check_active(ARRAY[by_id]);
    END IF;
    RETURN EXISTS (SELECT FROM realtime.crm_conversations AS k
                    WHERE k.conversation_id = lock_for_members.conversation_id AND k.managed);
END
$$;

CREATE FUNCTION realtime.add_participants(
    conversation_id bigint,
    employee_ids    bigint[],
    added_by        bigint DEFAULT NULL
) RETURNS SETOF bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    joining bigint[];
    room    record;
BEGIN
    PERFORM realtime.check_employee_ids(add_participants.employee_ids);
    PERFORM realtime.lock_for_members(add_participants.conversation_id, added_by);
    PERFORM realtime.check_active(add_participants.employee_ids);
    SELECT array_agg(asked.id ORDER BY asked.place) INTO joining
      FROM (SELECT one.id, min(one.place) AS place
              FROM unnest(add_participants.employee_ids) WITH ORDINALITY AS one (id, place)
             GROUP BY one.id) AS asked
     WHERE NOT EXISTS (SELECT FROM realtime.conversation_participants AS p
                        WHERE p.conversation_id = add_participants.conversation_id
                          AND p.employee_id = asked.id AND p.left_seq IS NULL);
    IF joining IS NULL THEN
        RETURN;
    END IF;
    IF cardinality(joining) + (SELECT count(*) FROM realtime.conversation_participants AS p
                                WHERE p.conversation_id = add_participants.conversation_id
                                  AND p.left_seq IS NULL) > 1000 THEN
        RAISE EXCEPTION 'A conversation has at most 1,000 participants.'
            USING ERRCODE = 'RT007', DETAIL = 'conversation.full';
    END IF;

    -- From here as gateway/chat/queries/members.py (join); a test compares.
    UPDATE realtime.conversations AS c
       SET last_change = c.last_change + cardinality(joining)
     WHERE c.id = add_participants.conversation_id
    RETURNING c.last_seq, c.last_change - cardinality(joining) AS before INTO room;
    INSERT INTO realtime.conversation_participants AS p
           (conversation_id, employee_id, change, joined_seq, last_read_seq, last_delivered_seq)
    SELECT add_participants.conversation_id, one.id, room.before + one.place, room.last_seq,
           room.last_seq, room.last_seq
      FROM unnest(joining) WITH ORDINALITY AS one (id, place)
        ON CONFLICT (conversation_id, employee_id) DO UPDATE
       SET change = excluded.change, role = 'member', joined_at = now(), left_seq = NULL,
           joined_seq = excluded.joined_seq, last_read_seq = excluded.last_read_seq,
           last_delivered_seq = excluded.last_delivered_seq, manual_unread = false,
           archived_seq = NULL, muted_until = NULL, pinned_at = NULL, notify = 'all',
           read_version = p.read_version + 1, mine_version = p.mine_version + 1;
    PERFORM realtime.post_system_message(
        add_participants.conversation_id,
        jsonb_build_object('event', 'joined', 'by', added_by, 'employee_ids', joining));
    INSERT INTO realtime.membership_changes (conversation_id, change, joined)
    SELECT c.id, c.last_change, joining
      FROM realtime.conversations AS c WHERE c.id = add_participants.conversation_id;
    RETURN QUERY SELECT unnest(joining);
END
$$;

COMMENT ON FUNCTION realtime.add_participants IS
    'Add employees to a conversation in your own transaction; returns those who were not in it. '
    'added_by NULL: the system. Errors: RT001 no such conversation, RT004 a bad argument, RT006 it '
    'is direct, RT007 too many people, RT008 no such active employee.';

REVOKE ALL ON FUNCTION realtime.add_participants FROM PUBLIC;

-- Who owns a group when these leave, as gateway/chat/members.py (leave) has it: an active one of
-- those who stay; a dismissed one where nobody else is there. NULL: it has an owner, or nobody.
CREATE FUNCTION realtime.next_owner(conversation_id bigint, leaving bigint[]) RETURNS bigint
-- plpgsql: the body of a function in SQL is checked now, and crm.employees may come later.
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    RETURN (
    SELECT heir.employee_id
      FROM (SELECT p.employee_id, p.role, p.joined_at,
                   EXISTS (SELECT FROM crm.employees AS e
                            WHERE e.id = p.employee_id AND e.active) AS active
              FROM realtime.conversation_participants AS p
             WHERE p.conversation_id = next_owner.conversation_id AND p.left_seq IS NULL
               AND p.employee_id <> ALL (leaving)) AS heir
     WHERE EXISTS (SELECT FROM realtime.conversation_participants AS o
                    WHERE o.conversation_id = next_owner.conversation_id AND o.left_seq IS NULL
                      AND o.role = 'owner' AND o.employee_id = ANY (leaving))
       AND NOT EXISTS (SELECT FROM realtime.conversation_participants AS o
                         JOIN crm.employees AS e ON e.id = o.employee_id AND e.active
                        WHERE o.conversation_id = next_owner.conversation_id
                          AND o.left_seq IS NULL AND o.role = 'owner'
                          AND o.employee_id <> ALL (leaving))
     ORDER BY heir.active DESC, heir.role = 'owner' DESC, heir.role = 'admin' DESC,
              heir.joined_at, heir.employee_id
     LIMIT 1);
END
$$;

CREATE FUNCTION realtime.remove_participants(
    conversation_id bigint,
    employee_ids    bigint[],
    removed_by      bigint DEFAULT NULL
) RETURNS SETOF bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    leaving   bigint[];
    unknown   bigint;
    heir      bigint;
    room      record;
    unowned   boolean;
BEGIN
    PERFORM realtime.check_employee_ids(remove_participants.employee_ids);
    unowned := realtime.lock_for_members(remove_participants.conversation_id, removed_by);
    SELECT min(asked.id) INTO unknown
      FROM unnest(remove_participants.employee_ids) AS asked (id)
     WHERE NOT EXISTS (SELECT FROM realtime.conversation_participants AS p
                        WHERE p.conversation_id = remove_participants.conversation_id
                          AND p.employee_id = asked.id);
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'Employee % was never in the conversation.', unknown
            USING ERRCODE = 'RT009', DETAIL = 'participant.not_found';
    END IF;
    SELECT array_agg(asked.id ORDER BY asked.place) INTO leaving
      FROM (SELECT one.id, min(one.place) AS place
              FROM unnest(remove_participants.employee_ids) WITH ORDINALITY AS one (id, place)
             GROUP BY one.id) AS asked
      JOIN realtime.conversation_participants AS p
        ON p.conversation_id = remove_participants.conversation_id AND p.employee_id = asked.id
       AND p.left_seq IS NULL;
    IF leaving IS NULL THEN
        RETURN;
    END IF;

    heir := CASE WHEN NOT unowned
                 THEN realtime.next_owner(remove_participants.conversation_id, leaving) END;
    IF heir IS NOT NULL AND NOT EXISTS (
           SELECT FROM realtime.conversation_participants AS p
            WHERE p.conversation_id = remove_participants.conversation_id
              AND p.employee_id = heir AND p.role = 'owner') THEN
        UPDATE realtime.conversations AS c SET last_change = c.last_change + 1
         WHERE c.id = remove_participants.conversation_id RETURNING c.last_change INTO room;
        UPDATE realtime.conversation_participants AS p
           SET role = 'owner', change = room.last_change
         WHERE p.conversation_id = remove_participants.conversation_id AND p.employee_id = heir;
        PERFORM realtime.post_system_message(
            remove_participants.conversation_id,
            jsonb_build_object('event', 'role_changed', 'by', removed_by,
                               'employee_ids', ARRAY[heir], 'role', 'owner'));
    END IF;
    PERFORM realtime.post_system_message(
        remove_participants.conversation_id,
        jsonb_build_object('event', 'removed', 'by', removed_by, 'employee_ids', leaving));
    UPDATE realtime.conversations AS c
       SET last_change = c.last_change + cardinality(leaving)
     WHERE c.id = remove_participants.conversation_id
    RETURNING c.last_seq, c.last_change INTO room;
    UPDATE realtime.conversation_participants AS p
       SET left_seq = room.last_seq,
           change = room.last_change - cardinality(leaving) + one.place
      FROM unnest(leaving) WITH ORDINALITY AS one (id, place)
     WHERE p.conversation_id = remove_participants.conversation_id AND p.employee_id = one.id;
    INSERT INTO realtime.audit (act, actor_id, conversation_id, details)
    SELECT 'conversation.remove', removed_by, remove_participants.conversation_id,
           jsonb_build_object('employee_id', one.id)
      FROM unnest(leaving) AS one (id);
    INSERT INTO realtime.membership_changes (conversation_id, change, removed)
    VALUES (remove_participants.conversation_id, room.last_change, leaving);
    RETURN QUERY SELECT unnest(leaving);
END
$$;

COMMENT ON FUNCTION realtime.remove_participants IS
    'Remove employees from a conversation in your own transaction; returns those who were in it. '
    'removed_by NULL: the system. Errors: RT001 no such conversation, RT004 a bad argument, RT006 '
    'it is direct, RT008 no such active employee, RT009 somebody was never in it.';

REVOKE ALL ON FUNCTION realtime.remove_participants FROM PUBLIC;
