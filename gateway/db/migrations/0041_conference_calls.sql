-- Several outside callers in one conference have a call each.

-- Old nodes store all of them as one call, until an event or `gateway replay --rebuild` folds it.
ALTER TABLE realtime.call_sessions
    ADD COLUMN events_in uuid,
    ADD COLUMN events_leg text;
ALTER TABLE realtime.call_legs ADD COLUMN shared boolean NOT NULL DEFAULT false;

COMMENT ON COLUMN realtime.call_sessions.events_in IS
    'The call with which the events of this one are stored: of another caller in the same '
    'conference. NULL: its own.';
COMMENT ON COLUMN realtime.call_sessions.events_leg IS
    'Then the first channel of its own caller.';
COMMENT ON COLUMN realtime.call_legs.shared IS
    'The telephone talks with several callers in a conference, and is counted in another call.';
