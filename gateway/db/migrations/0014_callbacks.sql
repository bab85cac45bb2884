-- Whom to call back: one open item for each customer, made of missed calls, closed by what follows.

CREATE TABLE realtime.callbacks (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version         bigint      NOT NULL DEFAULT 0,
    customer_id     bigint,
    number          text        NOT NULL,
    state           text        NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'claimed', 'closed')),
    calls           integer     NOT NULL DEFAULT 0,
    first_missed_at timestamptz NOT NULL,
    last_missed_at  timestamptz NOT NULL,
    last_call_id    uuid        NOT NULL,
    queues          text[]      NOT NULL DEFAULT '{}',
    claimed_by      bigint,
    claimed_at      timestamptz,
    claim_until     timestamptz,
    closed_at       timestamptz,
    closed_by       bigint,
    outcome         text CHECK (outcome IN
        ('reached', 'no_answer', 'wrong_number', 'not_needed', 'mistaken', 'merged')),
    how             text,
    note            text,
    recover_ms      bigint,
    reopened_at     timestamptz,
    changed_at      timestamptz NOT NULL DEFAULT now(),
    CHECK ((state = 'claimed') = (claimed_by IS NOT NULL)),
    CHECK ((state = 'closed') = (outcome IS NOT NULL))
) WITH (fillfactor = 70);

COMMENT ON TABLE realtime.callbacks IS
    'One open item for each customer, or for a number that no customer has: the calls missed since '
    'they were reached last. No foreign keys into the CRM.';
COMMENT ON COLUMN realtime.callbacks.number IS 'E.164, of the last missed call.';
COMMENT ON COLUMN realtime.callbacks.recover_ms IS
    'From the beginning of the first missed call to the moment in which the customer was reached.';
COMMENT ON COLUMN realtime.callbacks.how IS
    'By what they were reached: call, hand, or what the CRM said. NULL: they were not.';

CREATE UNIQUE INDEX callbacks_customer ON realtime.callbacks (customer_id)
    WHERE state <> 'closed' AND customer_id IS NOT NULL;
CREATE UNIQUE INDEX callbacks_number ON realtime.callbacks (number)
    WHERE state <> 'closed' AND customer_id IS NULL;
CREATE INDEX callbacks_waiting ON realtime.callbacks (first_missed_at, id) WHERE state <> 'closed';
CREATE INDEX callbacks_claims ON realtime.callbacks (claim_until) WHERE state = 'claimed';
CREATE INDEX callbacks_closed ON realtime.callbacks (closed_at DESC, id DESC)
    WHERE state = 'closed';
CREATE INDEX callbacks_closed_by ON realtime.callbacks (closed_by, closed_at DESC, id DESC)
    WHERE state = 'closed' AND closed_by IS NOT NULL;
CREATE INDEX callbacks_changed ON realtime.callbacks (changed_at);

-- Which missed calls an item is made of. Not of missed_calls by a foreign key: what is taken back
-- there has to be found here.
CREATE TABLE realtime.callback_calls (
    call_id     uuid   PRIMARY KEY,
    callback_id bigint NOT NULL REFERENCES realtime.callbacks (id) ON DELETE CASCADE
);

CREATE INDEX callback_calls_item ON realtime.callback_calls (callback_id);

-- When a customer was reached last: a missed call that is told of late may be older.
CREATE TABLE realtime.customers_reached (
    customer_id bigint      PRIMARY KEY,
    reached_at  timestamptz NOT NULL,
    how         text        NOT NULL
) WITH (fillfactor = 70);

-- What callbacks have not taken in yet, written in the transaction that makes it so: whoever dies
-- after that COMMIT loses nothing. Rows live for a moment.
CREATE TABLE realtime.callback_news (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    call_id     uuid,
    customer_id bigint,
    how         text,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (num_nonnulls(call_id, customer_id) = 1)
);

CREATE FUNCTION realtime.note_missed_call() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO realtime.callback_news (call_id)
    VALUES (CASE WHEN TG_OP = 'DELETE' THEN OLD.call_id ELSE NEW.call_id END);
    RETURN NULL;
END
$$;

CREATE TRIGGER callback_news_made AFTER INSERT OR DELETE ON realtime.missed_calls
    FOR EACH ROW EXECUTE FUNCTION realtime.note_missed_call();
CREATE TRIGGER callback_news_changed AFTER UPDATE ON realtime.missed_calls
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)
    EXECUTE FUNCTION realtime.note_missed_call();

CREATE FUNCTION realtime.note_answered_call() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO realtime.callback_news (call_id) VALUES (NEW.id);
    RETURN NULL;
END
$$;

-- Once a call, when it is answered: everything else about a call in progress costs a comparison.
CREATE TRIGGER callback_news_made AFTER INSERT ON realtime.call_sessions
    FOR EACH ROW WHEN (NEW.answered_at IS NOT NULL AND NEW.number_e164 IS NOT NULL
                       AND NEW.direction <> 'internal' AND NEW.merged_into IS NULL)
    EXECUTE FUNCTION realtime.note_answered_call();
CREATE TRIGGER callback_news_changed AFTER UPDATE ON realtime.call_sessions
    FOR EACH ROW WHEN (NEW.answered_at IS NOT NULL AND NEW.number_e164 IS NOT NULL
                       AND NEW.direction <> 'internal' AND NEW.merged_into IS NULL
                       AND (OLD.answered_at IS NULL OR OLD.direction = 'internal'
                            OR OLD.number_e164 IS DISTINCT FROM NEW.number_e164))
    EXECUTE FUNCTION realtime.note_answered_call();

-- For the CRM's own transactions: a chat was answered, an e-mail, somebody came by. Nothing is
-- locked and nobody waits; the gateway finds it within GATEWAY_SWEEP_S after the COMMIT.
CREATE FUNCTION realtime.customer_reached(customer_id bigint, how text) RETURNS void
-- DEFINER with a fixed path, as realtime.send_message.
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF customer_reached.customer_id IS NULL OR customer_reached.customer_id < 1 THEN
        RAISE EXCEPTION 'customer_id is an id of crm.customers.'
            USING ERRCODE = 'RT004', DETAIL = 'command.invalid', HINT = 'customer_id';
    END IF;
    IF how IS NULL OR char_length(how) NOT BETWEEN 1 AND 50 THEN
        RAISE EXCEPTION 'how has 1 to 50 characters.'
            USING ERRCODE = 'RT004', DETAIL = 'command.invalid', HINT = 'how';
    END IF;
    INSERT INTO realtime.callback_news (customer_id, how)
    VALUES (customer_reached.customer_id, customer_reached.how);
END
$$;

COMMENT ON FUNCTION realtime.customer_reached IS
    'Say in your own transaction that a customer was reached by something else than a call; an '
    'open call-back request is closed. Errors: RT004 a bad argument.';

REVOKE ALL ON FUNCTION realtime.customer_reached FROM PUBLIC;

-- The list of missed calls of one queue.
CREATE INDEX missed_calls_queue ON realtime.missed_calls (queue, started_at DESC, call_id DESC)
    WHERE queue IS NOT NULL;
