-- The CRM's own acts in the same audit, written in the transaction that does them.

-- Only an INSERT: nobody waits for anybody, and a rollback leaves no trace.
CREATE FUNCTION realtime.audit_event(
    actor   bigint,
    act     text,
    subject text  DEFAULT NULL,
    details jsonb DEFAULT NULL
) RETURNS void
-- DEFINER with a fixed path, as realtime.send_message.
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF audit_event.actor NOT BETWEEN 1 AND 9007199254740991 THEN
        RAISE EXCEPTION 'actor is an id of crm.employees, or NULL.'
            USING ERRCODE = 'RT004', DETAIL = 'command.invalid', HINT = 'actor';
    END IF;
    IF audit_event.act IS NULL OR length(audit_event.act) > 100
       OR audit_event.act !~ '^[a-z_]+\.[a-z_]+$' THEN
        RAISE EXCEPTION 'act is noun.verb, of a to z and _, at most 100 characters.'
            USING ERRCODE = 'RT004', DETAIL = 'command.invalid', HINT = 'act';
    END IF;
    IF length(audit_event.subject) NOT BETWEEN 1 AND 200
       OR audit_event.subject ~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029]' THEN
        RAISE EXCEPTION 'subject is one line of 1 to 200 characters, or NULL.'
            USING ERRCODE = 'RT004', DETAIL = 'command.invalid', HINT = 'subject';
    END IF;
    IF audit_event.details IS NOT NULL
       AND (jsonb_typeof(audit_event.details) <> 'object'
            OR octet_length(audit_event.details::text) > 8000
            OR NOT realtime.is_legible(audit_event.details)) THEN
        RAISE EXCEPTION 'details is an object of at most 8,000 bytes and 100 levels.'
            USING ERRCODE = 'RT004', DETAIL = 'command.invalid', HINT = 'details';
    END IF;
    INSERT INTO realtime.audit (actor_id, act, subject, details, source)
    VALUES (audit_event.actor, audit_event.act, audit_event.subject,
            coalesce(audit_event.details, '{}'), 'sql');
END
$$;

-- The same with the CRM's own id of the employee; a literal without a type comes here.
CREATE FUNCTION realtime.audit_event(
    actor   text,
    act     text,
    subject text  DEFAULT NULL,
    details jsonb DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- As in tokens (gateway/auth/subjects.py): no -1, 007, 1.0 or 1e3, which somebody meant as a number.
    IF audit_event.actor !~ '^[1-9][0-9]{0,18}$'
       AND (audit_event.actor !~ '^[!-~]{1,255}$'
            OR audit_event.actor ~ '^[-+]?([0-9.]{0,20}|[0-9.]{1,12}[eE][-+]?[0-9]{1,3})$') THEN
        RAISE EXCEPTION 'actor is an id of crm.employees, or NULL.'
            USING ERRCODE = 'RT004', DETAIL = 'command.invalid', HINT = 'actor';
    END IF;
    PERFORM realtime.audit_event(
        CASE WHEN audit_event.actor IS NOT NULL
             THEN realtime.id_of('employee', audit_event.actor) END,
        audit_event.act, audit_event.subject, audit_event.details);
END
$$;

COMMENT ON FUNCTION realtime.audit_event(bigint, text, text, jsonb) IS
    'Record an act of yours in your own transaction; actor NULL is no employee. Errors: RT004 a bad '
    'argument.';
COMMENT ON FUNCTION realtime.audit_event(text, text, text, jsonb) IS
    'The same with the CRM''s own id of the employee.';

-- Whoever may call it writes in anybody's name: only roles that are granted it.
REVOKE ALL ON FUNCTION realtime.audit_event(bigint, text, text, jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION realtime.audit_event(text, text, text, jsonb) FROM PUBLIC;
