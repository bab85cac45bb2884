-- no transaction
-- Pages are read by (at, id).
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_until_actor ON realtime.audit (actor_id, at, id)
    WHERE actor_id IS NOT NULL;
