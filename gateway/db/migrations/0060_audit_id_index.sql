-- no transaction
-- For who reads by id: the key begins with the time.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_until_id ON realtime.audit (id);
