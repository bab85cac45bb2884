-- no transaction
-- Pages are read by (at, id).
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_until_act ON realtime.audit (act, at, id);
