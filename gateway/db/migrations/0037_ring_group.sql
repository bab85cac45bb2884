-- Which ring group a caller reached.

-- NULL in rows of older nodes, until an event or `gateway replay --rebuild` folds the call anew.
ALTER TABLE realtime.call_sessions ADD COLUMN ring_group text;

COMMENT ON COLUMN realtime.call_sessions.ring_group IS
    'The number or name of the ring group that was rung first, as the PBX has it.';
