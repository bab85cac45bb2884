-- no transaction
-- Calls whose events are stored with another call.
CREATE INDEX CONCURRENTLY IF NOT EXISTS call_sessions_events_in
    ON realtime.call_sessions (events_in)
    WHERE events_in IS NOT NULL;
