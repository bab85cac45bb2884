-- The conference that a call was in.

-- NULL in rows of older nodes, until an event or `gateway replay --rebuild` folds the call anew.
ALTER TABLE realtime.call_sessions ADD COLUMN room text;

COMMENT ON COLUMN realtime.call_sessions.room IS
    'The conference that the call was in, as the PBX names it; of several, the last. NULL: none.';
