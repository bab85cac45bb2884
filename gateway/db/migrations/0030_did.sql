-- Which of our numbers a caller dialled.

-- NULL in rows of older nodes, until an event or `gateway replay --rebuild` folds the call anew.
ALTER TABLE realtime.call_sessions ADD COLUMN did text;

COMMENT ON COLUMN realtime.call_sessions.did IS
    'The number of ours that the caller of an inbound call dialled: in E.164, or as the PBX says '
    'it. NULL when the PBX does not, and for calls from inside.';
