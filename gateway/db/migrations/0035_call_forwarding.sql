-- Whom the caller asked for, and which telephone forwarded the call.

-- NULL in rows of older nodes, until an event or `gateway replay --rebuild` folds the call anew.
ALTER TABLE realtime.call_sessions ADD COLUMN asked_extension text;
ALTER TABLE realtime.call_legs ADD COLUMN forwarded_from text;

COMMENT ON COLUMN realtime.call_sessions.asked_extension IS
    'The extension that the caller asked for: dialled inside, or rung first. NULL: a queue, a '
    'group, an outsider.';
COMMENT ON COLUMN realtime.call_legs.forwarded_from IS
    'The extension that sent the call on to this telephone without taking it (call forwarding).';
