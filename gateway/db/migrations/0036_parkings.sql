-- When a call was parked, by whom, and who picked it up.

-- NULL in rows of older nodes, until an event or `gateway replay --rebuild` folds the call anew.
ALTER TABLE realtime.call_sessions
    ADD COLUMN parked_ms bigint,
    ADD COLUMN parkings jsonb;

COMMENT ON COLUMN realtime.call_sessions.parked_ms IS
    'How long the call was parked, without a time that goes on. NULL: never.';
COMMENT ON COLUMN realtime.call_sessions.parkings IS
    'Each time that it was parked: at, until (absent while it is), slot, by_extension, result '
    '(picked_up, timeout, given_up), to_extension. NULL: never.';
