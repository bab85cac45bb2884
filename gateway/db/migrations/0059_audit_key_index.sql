-- no transaction
-- The key of a table that is partitioned by time.
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS audit_until_key ON realtime.audit (at, id);
