-- The audit by months: a month that is too old is dropped as a whole table. The rows that are there
-- become the first partition as they are: none is read or copied while the table is locked.

CREATE SEQUENCE realtime.audit_ids;

CREATE TABLE realtime.audit_by_month (
    id              bigint      NOT NULL DEFAULT nextval('realtime.audit_ids'),
    at              timestamptz NOT NULL DEFAULT now(),
    actor_id        bigint,
    act             text        NOT NULL,
    conversation_id bigint,
    seq             bigint,
    details         jsonb       NOT NULL DEFAULT '{}',
    source          text,
    request_id      text,
    subject         text,
    CONSTRAINT audit_key PRIMARY KEY (at, id),
    CONSTRAINT audit_act_check CHECK (act ~ '^[a-z_]+\.[a-z_]+$'),
    CONSTRAINT audit_source_check CHECK (source ~ '^[a-z]{1,20}$'),
    CONSTRAINT audit_request_id_check CHECK (length(request_id) BETWEEN 1 AND 100),
    CONSTRAINT audit_subject_check CHECK (length(subject) BETWEEN 1 AND 200)
) PARTITION BY RANGE (at);

CREATE INDEX audit_by_id ON realtime.audit_by_month (id);
CREATE INDEX audit_by_conversation ON realtime.audit_by_month (conversation_id, at, id)
    WHERE conversation_id IS NOT NULL;
CREATE INDEX audit_by_actor ON realtime.audit_by_month (actor_id, at, id)
    WHERE actor_id IS NOT NULL;
CREATE INDEX audit_by_act ON realtime.audit_by_month (act, at, id);
CREATE INDEX audit_by_subject ON realtime.audit_by_month (subject, at, id)
    WHERE subject IS NOT NULL;
CREATE INDEX audit_by_request ON realtime.audit_by_month (request_id)
    WHERE request_id IS NOT NULL;

COMMENT ON TABLE realtime.audit_by_month IS
    'Written in the transaction of what it tells of. No foreign keys: a row outlives the '
    'conversation and the employee it names. Nodes make a partition for each month; what has none '
    'goes to audit_default.';
COMMENT ON COLUMN realtime.audit_by_month.actor_id IS
    'crm.employees.id; NULL for the gateway itself.';
COMMENT ON COLUMN realtime.audit_by_month.source IS
    'socket, rest, cli, job; sql: realtime.audit_event(). NULL in rows of earlier versions.';
COMMENT ON COLUMN realtime.audit_by_month.request_id IS
    'X-Request-Id of a REST request; of a command on a socket: its session and the id it had.';
COMMENT ON COLUMN realtime.audit_by_month.subject IS
    'What it is about, for instance conversation:17 or call:(uuid).';

LOCK TABLE realtime.audit IN ACCESS EXCLUSIVE MODE;

DO $$
DECLARE
    ids      text := pg_get_serial_sequence('realtime.audit', 'id');
    until    text := (SELECT conname FROM pg_constraint
                       WHERE conrelid = 'realtime.audit'::regclass
                         AND conname LIKE 'audit\_until\_%' AND contype = 'c');
    is_empty boolean := NOT EXISTS (SELECT FROM realtime.audit);
    readers  text[];
    one      record;
    command  text;
BEGIN
    EXECUTE format('SELECT setval(''realtime.audit_ids'', last_value, is_called) FROM %s', ids);

    -- Nodes that serve go on: who had rights to the table has them to the new one.
    FOR one IN
        SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee,
               string_agg(a.privilege_type, ', ') AS rights,
               bool_or(a.privilege_type = 'INSERT') AS writes
          FROM pg_class AS c, aclexplode(c.relacl) AS a
         WHERE c.oid = 'realtime.audit'::regclass AND a.grantee <> c.relowner
         GROUP BY a.grantee
    LOOP
        EXECUTE format('GRANT %s ON realtime.audit_by_month TO %s', one.rights, one.grantee);
        IF one.writes THEN
            EXECUTE format('GRANT USAGE ON SEQUENCE realtime.audit_ids TO %s', one.grantee);
        END IF;
    END LOOP;

    -- A view of somebody else reads the table that it was made on, whatever that is called now.
    SELECT array_agg(format('CREATE OR REPLACE VIEW %s%s AS %s', found.name,
                            ' WITH (' || array_to_string(found.options, ', ') || ')',
                            pg_get_viewdef(found.oid)))
      INTO readers
      FROM (SELECT DISTINCT c.oid, c.oid::regclass::text AS name, c.reloptions AS options
              FROM pg_depend AS d
              JOIN pg_rewrite AS r ON r.oid = d.objid
              JOIN pg_class AS c ON c.oid = r.ev_class AND c.relkind = 'v'
             WHERE d.classid = 'pg_rewrite'::regclass
               AND d.refobjid = 'realtime.audit'::regclass) AS found;

    EXECUTE format('ALTER TABLE realtime.audit RENAME TO %I', until);
    ALTER TABLE realtime.audit_by_month RENAME TO audit;
    ALTER SEQUENCE realtime.audit_ids OWNED BY realtime.audit.id;
    FOREACH command IN ARRAY coalesce(readers, '{}') LOOP
        EXECUTE command;
    END LOOP;

    IF is_empty THEN
        EXECUTE format('DROP TABLE realtime.%I', until);
    ELSE
        DROP INDEX realtime.audit_conversation, realtime.audit_actor, realtime.audit_act,
                   realtime.audit_at;
        EXECUTE format('ALTER TABLE realtime.%I ALTER COLUMN id DROP IDENTITY,
                        DROP CONSTRAINT audit_pkey,
                        ADD CONSTRAINT audit_until_key PRIMARY KEY USING INDEX audit_until_key',
                       until);
        EXECUTE format('ALTER TABLE realtime.audit ATTACH PARTITION realtime.%I
                        FOR VALUES FROM (MINVALUE) TO (%L)', until,
                       to_date(right(until, 7), 'YYYY_MM')::timestamp AT TIME ZONE 'UTC');
        EXECUTE format('ALTER TABLE realtime.%I DROP CONSTRAINT %I', until, until);
    END IF;
END
$$;

CREATE TABLE realtime.audit_default PARTITION OF realtime.audit DEFAULT;
