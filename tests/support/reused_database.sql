-- Brings a database back to what it contained when this was run. Two calls of pristine.fingerprint()
-- are equal if its tables, functions and so on are still the same; partitions may come and go.
CREATE SCHEMA pristine;

CREATE TABLE pristine.content (relation regclass PRIMARY KEY, columns text, copy text, digest text);
CREATE TABLE pristine.counters (sequence regclass PRIMARY KEY, value bigint, called boolean);

CREATE FUNCTION pristine.digest(relation regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    EXECUTE format('SELECT count(*) || '':'' || coalesce(sum(hashtextextended(t::text, 0)), 0) FROM ONLY %s t',
                   relation) INTO found;
    RETURN found;
END $$;

CREATE FUNCTION pristine.relations() RETURNS SETOF regclass LANGUAGE sql STABLE AS $$
    SELECT c.oid::regclass FROM pg_class c
     WHERE c.relnamespace::regnamespace::text !~ '^(pg_|information_schema|pristine)' AND c.relkind = 'r'
$$;

DO $$
DECLARE
    relation regclass;
    columns text;
    copy text;
BEGIN
    FOR relation IN SELECT * FROM pristine.relations() LOOP
        copy := format('pristine.%I', 'copy_' || relation::oid);
        EXECUTE format('CREATE TABLE %s AS SELECT * FROM ONLY %s', copy, relation);
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO columns
          FROM pg_attribute
         WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
        INSERT INTO pristine.content VALUES (relation, columns, copy, pristine.digest(relation));
    END LOOP;
END $$;

INSERT INTO pristine.counters
SELECT format('%I.%I', schemaname, sequencename)::regclass,
       coalesce(last_value, start_value), last_value IS NOT NULL
  FROM pg_sequences WHERE schemaname !~ '^(pg_|information_schema|pristine)';

-- Rules and keys are off meanwhile: what comes back has been valid.
CREATE FUNCTION pristine.restore() RETURNS void LANGUAGE plpgsql
SET session_replication_role = replica AS $$
DECLARE
    one record;
    is_empty boolean;
BEGIN
    FOR one IN
        SELECT r AS relation, c.columns, c.copy, coalesce(c.digest, '0:0') AS digest
          FROM pristine.relations() r LEFT JOIN pristine.content c ON c.relation = r
    LOOP
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM ONLY %s)', one.relation) INTO is_empty;
        IF one.digest = '0:0' THEN
            IF NOT is_empty THEN
                EXECUTE format('DELETE FROM ONLY %s', one.relation);
            END IF;
        ELSIF is_empty OR pristine.digest(one.relation) <> one.digest THEN
            EXECUTE format('DELETE FROM ONLY %s', one.relation);
            EXECUTE format('INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM %s',
                           one.relation, one.columns, one.columns, one.copy);
        END IF;
    END LOOP;
    PERFORM setval(sequence, value, called) FROM pristine.counters;
END $$;

CREATE FUNCTION pristine.fingerprint() RETURNS text LANGUAGE sql STABLE AS $$
    WITH ours AS (
        SELECT oid FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema|pristine)'
    )
    SELECT concat_ws(' ',
        (SELECT count(*) || ':' || sum(c.oid::bigint + hashtext(c.relname)) FROM pg_class c
          WHERE relnamespace IN (SELECT oid FROM ours) AND NOT relispartition AND relkind <> 't'),
        (SELECT count(*) || ':' || sum(hashtext(concat(p.oid, prosrc, proacl, proconfig))::bigint) FROM pg_proc p
          WHERE pronamespace IN (SELECT oid FROM ours)),
        (SELECT sum(hashtext(ev_action::text)::bigint) FROM pg_rewrite r JOIN pg_class c ON c.oid = ev_class
          WHERE relnamespace IN (SELECT oid FROM ours)),
        (SELECT count(*) || ':' || sum(hashtext(concat(oid, tgenabled))::bigint)
           FROM pg_trigger WHERE tgrelid NOT IN (SELECT oid FROM pg_class WHERE relispartition)),
        (SELECT count(*) || ':' || sum(a.attnum + a.atttypid::bigint + a.attnotnull::int)
           FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
          WHERE c.relnamespace IN (SELECT oid FROM ours) AND NOT c.relispartition AND a.attnum > 0),
        (SELECT count(*) || ':' || sum(oid::bigint) FROM pg_constraint
          WHERE connamespace IN (SELECT oid FROM ours) AND conparentid = 0
            AND conrelid NOT IN (SELECT oid FROM pg_class WHERE relispartition)),
        (SELECT count(*) FROM ours), (SELECT count(*) FROM pg_extension),
        (SELECT sum(hashtext(concat(relacl, relpersistence, reloptions))::bigint) FROM pg_class c
          WHERE relnamespace IN (SELECT oid FROM ours) AND NOT relispartition)
    )
$$;
