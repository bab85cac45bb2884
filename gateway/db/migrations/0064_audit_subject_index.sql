-- no transaction
-- Everything that was done to one thing.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_until_subject ON realtime.audit (subject, at, id)
    WHERE subject IS NOT NULL;
