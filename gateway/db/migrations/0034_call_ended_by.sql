-- Who hung up.

-- NULL in rows of older nodes, until an event or `gateway replay --rebuild` folds the call anew.
ALTER TABLE realtime.call_sessions
    ADD COLUMN ended_by           text,
    ADD COLUMN ended_by_extension text;

COMMENT ON COLUMN realtime.call_sessions.ended_by IS
    'Who ended the call: customer, agent or pbx. NULL while it goes on, and when the PBX does not '
    'tell.';
COMMENT ON COLUMN realtime.call_sessions.ended_by_extension IS
    'The telephone of ours that hung up, when ended_by is agent.';
