-- no transaction
-- Only calls that are over: an entry a call, made once. Those in progress are few.
CREATE INDEX CONCURRENTLY IF NOT EXISTS call_sessions_wait
    ON realtime.call_sessions (realtime.duration_class(wait_ms), started_at DESC, id DESC)
    WHERE ended_at IS NOT NULL AND wait_ms IS NOT NULL;
