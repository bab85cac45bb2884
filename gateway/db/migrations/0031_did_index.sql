-- no transaction
-- Calls by the number that was dialled, newest first.
CREATE INDEX CONCURRENTLY IF NOT EXISTS call_sessions_did
    ON realtime.call_sessions (did, started_at DESC, id DESC)
    WHERE did IS NOT NULL;
