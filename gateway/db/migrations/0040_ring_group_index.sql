-- no transaction
-- Calls of a ring group, newest first.
CREATE INDEX CONCURRENTLY IF NOT EXISTS call_sessions_ring_group
    ON realtime.call_sessions (ring_group, started_at DESC, id DESC)
    WHERE ring_group IS NOT NULL;
