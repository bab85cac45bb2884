-- Events that the CRM publishes in its own transactions: rows that wait, then rows in one order.

-- A publisher takes its number here, before it knows whether its key is new.
CREATE SEQUENCE realtime.event_ids AS bigint MAXVALUE 9007199254740991;

CREATE TABLE realtime.events_outbox (
    deliver_at timestamptz NOT NULL DEFAULT '-infinity',
    id         bigint      NOT NULL DEFAULT nextval('realtime.event_ids'),
    source     text        NOT NULL,
    type       text        NOT NULL,
    event_key  text,
    users      bigint[]    NOT NULL,
    topics     text[]      NOT NULL,
    payload    jsonb       NOT NULL,
    notify     jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- What is due is read in this order: at once by number, then what was put off by its time.
    PRIMARY KEY (deliver_at, id)
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

COMMENT ON TABLE realtime.events_outbox IS
    'Events that are committed and not relayed. realtime.publish and POST /v1/events insert; the '
    'relay deletes, in the transaction that inserts into realtime.events.';
COMMENT ON COLUMN realtime.events_outbox.deliver_at IS
    'When it is due; -infinity: at once. Cancelled by its key until it is relayed.';
COMMENT ON COLUMN realtime.events_outbox.notify IS
    'What notifications will be made of. Nothing reads it yet.';

CREATE TABLE realtime.event_keys (
    source     text        NOT NULL,
    event_key  text        NOT NULL,
    digest     bytea       NOT NULL,
    event_id   bigint      NOT NULL,
    deliver_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, event_key)
);

CREATE INDEX event_keys_created_at ON realtime.event_keys USING brin (created_at);

COMMENT ON TABLE realtime.event_keys IS
    'Keys of events, until seven days after they were published and due: who publishes one again '
    'publishes nothing.';

CREATE TABLE realtime.events (
    position   bigint      PRIMARY KEY,
    id         bigint      NOT NULL,
    source     text        NOT NULL,
    type       text        NOT NULL,
    event_key  text,
    users      bigint[]    NOT NULL,
    topics     text[]      NOT NULL,
    payload    jsonb       NOT NULL,
    notify     jsonb,
    created_at timestamptz NOT NULL,
    relayed_at timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE realtime.events IS
    'Events of the last hour in the order in which they are delivered: position has no holes, and '
    'is the order of commits. Every node reads on from the last one that it delivered.';

CREATE TABLE realtime.event_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint  NOT NULL
);
INSERT INTO realtime.event_head (position) VALUES (0);

COMMENT ON TABLE realtime.event_head IS
    'The last position in realtime.events. Whoever has its row locked is the relay.';

-- One form for both ways to publish: what jsonb takes for equal is the same content.
CREATE FUNCTION realtime.event_digest(
    type text, users bigint[], topics text[], payload jsonb, deliver_at timestamptz, notify jsonb
) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
RETURN sha256(convert_to(jsonb_build_array(
    type, coalesce(users, '{}'), coalesce(topics, '{}'), coalesce(payload, '{}'),
    extract(epoch FROM deliver_at), notify)::text, 'UTF8'));

-- In PL/pgSQL, so that it costs an event with one topic nothing.
CREATE FUNCTION realtime.are_event_topics(topics text[]) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN cardinality(topics) <= 20 AND array_ndims(topics) = 1
       AND (SELECT bool_and(coalesce(length(one) <= 200
                                     AND one ~ '^crm:[A-Za-z][A-Za-z0-9_]*:[!-~]+$', false))
              FROM unnest(topics) AS one);
END
$$;

-- What publishers may give, for both ways to publish. PostgreSQL writes it into the calling
-- statement, which prepares each of its steps: they are few. A pattern with a counted repetition,
-- {1,150}, would take 70 us. What every reader of JSON can hold is an object of 32 levels, and
-- whole numbers below 2^53.
CREATE FUNCTION realtime.event_fault(
    type text, users bigint[], topics text[], payload jsonb, key text, deliver_at timestamptz,
    notify jsonb, source text
) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN (type ~ '^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$' AND length(type) <= 80) IS NOT TRUE
    THEN 'type'
    WHEN users IS NOT NULL
     AND (cardinality(users) <= 1000 AND coalesce(array_ndims(users), 1) = 1
          AND 1 <= ALL (users) AND 9007199254740991 >= ALL (users)) IS NOT TRUE
    THEN 'users'
    WHEN topics IS NOT NULL
     AND CASE cardinality(topics)
         WHEN 0 THEN true
         WHEN 1 THEN length(topics[1]) <= 200
                 AND topics[1] ~ '^crm:[A-Za-z][A-Za-z0-9_]*:[!-~]+$'
         ELSE realtime.are_event_topics(topics)
         END IS NOT TRUE
    THEN 'topics'
    WHEN NOT (octet_length(payload::text) <= 8192
              AND payload @? 'strict $ ? (
                      @.type() == "object" && !exists(@.**{32 to last})
                      && !exists(@.** ? (@ > 9007199254740991 || @ < -9007199254740991)))')
    THEN 'payload'
    WHEN key IS NOT NULL AND NOT (length(key) BETWEEN 1 AND 200 AND key ~ '^[ -~]+$')
    THEN 'key'
    WHEN deliver_at IS NOT NULL
         AND NOT (isfinite(deliver_at) AND deliver_at < now() + interval '366 days')
    THEN 'deliver_at'
    WHEN notify IS NOT NULL AND NOT (
            octet_length(notify::text) <= 2048
        AND notify @? 'strict $ ? (
                @.type() == "object" && !exists(@.**{32 to last})
                && !exists(@.** ? (@ > 9007199254740991 || @ < -9007199254740991)))')
    THEN 'notify'
    WHEN source IS DISTINCT FROM 'crm'
         AND (source ~ '^[a-z][a-z0-9_.-]*$' AND length(source) <= 63) IS NOT TRUE
    THEN 'source'
END;

COMMENT ON FUNCTION realtime.event_fault IS 'Which argument of an event is invalid; NULL: none.';

-- STRICT: without a fault it is not called.
CREATE FUNCTION realtime.refuse_event(fault text) RETURNS text
LANGUAGE plpgsql STRICT AS $$
BEGIN
    RAISE EXCEPTION 'The % of this event is invalid: see docs/crm-contract.md.', fault
        USING ERRCODE = 'RT004', DETAIL = 'command.invalid', HINT = fault;
END
$$;

-- Only INSERTs: no row that another publisher needs is locked, and nobody is notified. Of one key,
-- the second publisher waits for the first one's COMMIT.
CREATE FUNCTION realtime.publish(
    type       text,
    users      bigint[]    DEFAULT '{}',
    topics     text[]      DEFAULT '{}',
    payload    jsonb       DEFAULT '{}',
    key        text        DEFAULT NULL,
    deliver_at timestamptz DEFAULT NULL,
    notify     jsonb       DEFAULT NULL,
    source     text        DEFAULT 'crm'
) RETURNS bigint
-- DEFINER with a fixed path, as realtime.send_message: the CRM's role needs no right on any table.
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    number bigint;
    due    timestamptz;
    told   bytea;
    known  record;
BEGIN
    -- The usual event in one statement: each further expression costs as much as what it computes,
    -- and what is NULL here is left out of the check.
    IF key IS NULL AND deliver_at IS NULL AND notify IS NULL THEN
        INSERT INTO realtime.events_outbox (source, type, users, topics, payload)
        SELECT source, type, coalesce(users, '{}'), coalesce(topics, '{}'), coalesce(payload, '{}')
         WHERE realtime.refuse_event(realtime.event_fault(
                   type, users, topics, payload, NULL, NULL, NULL, source)) IS NULL
        RETURNING id INTO number;
        RETURN number;
    END IF;

    PERFORM realtime.refuse_event(realtime.event_fault(
        type, users, topics, payload, key, deliver_at, notify, source));
    due := CASE WHEN deliver_at > now() THEN deliver_at ELSE '-infinity' END;
    number := nextval('realtime.event_ids');
    told := CASE WHEN key IS NOT NULL THEN realtime.event_digest(
        type, users, topics, payload, deliver_at, notify) END;
    WHILE key IS NOT NULL LOOP
        INSERT INTO realtime.event_keys (source, event_key, digest, event_id, deliver_at)
        VALUES (source, key, told, number, due)
            ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;
        SELECT k.event_id, k.digest INTO known
          FROM realtime.event_keys AS k
         WHERE k.source = publish.source AND k.event_key = publish.key;
        IF known.digest = told THEN
            RETURN known.event_id;
        ELSIF known.digest IS NOT NULL THEN
            RAISE EXCEPTION 'This key was used before for an event with other content.'
                USING ERRCODE = 'RT003', DETAIL = 'event.key_reused', HINT = 'key';
        END IF;  -- forgotten or cancelled a moment ago: it is free
    END LOOP;
    INSERT INTO realtime.events_outbox
           (deliver_at, id, source, type, event_key, users, topics, payload, notify)
    VALUES (due, number, source, type, key, coalesce(users, '{}'), coalesce(topics, '{}'),
            coalesce(payload, '{}'), notify);
    RETURN number;
END
$$;

COMMENT ON FUNCTION realtime.publish IS
    'Publish an event in your own transaction; returns its id. Errors: RT003 another event had the '
    'key, RT004 a bad argument (HINT says which).';

CREATE FUNCTION realtime.cancel_event(key text, source text DEFAULT 'crm') RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
    -- Waits for a relay that has it in work, a few milliseconds.
    DELETE FROM realtime.events_outbox AS o
     USING realtime.event_keys AS k
     WHERE k.source = cancel_event.source AND k.event_key = cancel_event.key
       AND o.deliver_at = k.deliver_at AND o.id = k.event_id;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM realtime.event_keys AS k
     WHERE k.source = cancel_event.source AND k.event_key = cancel_event.key;
    RETURN true;
END
$$;

COMMENT ON FUNCTION realtime.cancel_event IS
    'Take back an event that is not relayed, by its key, which may be used again. False: there is '
    'none, or it is relayed.';

REVOKE ALL ON FUNCTION realtime.publish, realtime.cancel_event FROM PUBLIC;
