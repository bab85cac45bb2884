-- no transaction
-- Everything that one request did.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_until_request ON realtime.audit (request_id)
    WHERE request_id IS NOT NULL;
