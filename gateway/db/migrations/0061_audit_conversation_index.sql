-- no transaction
-- Pages are read by (at, id).
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_until_conversation ON realtime.audit (conversation_id, at, id)
    WHERE conversation_id IS NOT NULL;
