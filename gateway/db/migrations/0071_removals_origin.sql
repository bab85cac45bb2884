-- Removals by realtime.remove_participants are audited with where they came from, as all acts are.
-- Only who may write the audit itself is believed: a role of the CRM, which has EXECUTE alone, could name
-- the gateway and any service account.

-- Same arguments as before: the grants stay.
CREATE OR REPLACE FUNCTION realtime.remove_participants(
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
    origin    jsonb;
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
    -- The gateway says in its own statement that it was asked over HTTP, by whom and when.
    IF has_table_privilege(session_user, 'realtime.audit', 'INSERT') THEN
        origin := nullif(current_setting('realtime.audit_origin', true), '')::jsonb;
    END IF;
    origin := coalesce(origin, '{"source": "sql"}');
    INSERT INTO realtime.audit
           (act, actor_id, conversation_id, source, request_id, subject, details)
    SELECT 'conversation.remove', removed_by, remove_participants.conversation_id,
           origin ->> 'source', origin ->> 'request_id',
           'conversation:' || remove_participants.conversation_id,
           jsonb_strip_nulls(jsonb_build_object('employee_id', one.id,
                                                'service', origin ->> 'service'))
      FROM unnest(leaving) AS one (id);
    INSERT INTO realtime.membership_changes (conversation_id, change, removed)
    VALUES (remove_participants.conversation_id, room.last_change, leaving);
    RETURN QUERY SELECT unnest(leaving);
END
$$;
