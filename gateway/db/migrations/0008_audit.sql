-- Who did what to conversations that were not only theirs: exports, and acts of moderation.

CREATE TABLE realtime.audit (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at              timestamptz NOT NULL DEFAULT now(),
    actor_id        bigint,
    act             text        NOT NULL CHECK (act ~ '^[a-z_]+\.[a-z_]+$'),
    conversation_id bigint,
    seq             bigint,
    details         jsonb       NOT NULL DEFAULT '{}'
);

COMMENT ON TABLE realtime.audit IS
    'Written in the transaction of what it tells of. No foreign keys: a row outlives the '
    'conversation and the employee it names.';
COMMENT ON COLUMN realtime.audit.actor_id IS
    'crm.employees.id; NULL for the gateway itself.';

CREATE INDEX audit_conversation ON realtime.audit (conversation_id, id)
    WHERE conversation_id IS NOT NULL;
CREATE INDEX audit_actor ON realtime.audit (actor_id, id) WHERE actor_id IS NOT NULL;
