-- Callers who reached a mailbox, and whether they left a message.

-- NULL in rows of older nodes, until an event or `gateway replay --rebuild` folds the call anew.
ALTER TABLE realtime.call_sessions
    ADD COLUMN mailbox text,
    ADD COLUMN message_left boolean;

-- The rows so far satisfy the narrower constraint that this one replaces: no need to read them.
ALTER TABLE realtime.call_sessions
    DROP CONSTRAINT call_sessions_outcome_check,
    ADD CONSTRAINT call_sessions_outcome_check CHECK (outcome IN
        ('answered', 'voicemail', 'abandoned', 'missed', 'timeout', 'left_queue', 'failed',
         'unknown')) NOT VALID;

COMMENT ON COLUMN realtime.call_sessions.mailbox IS
    'The mailbox that the caller reached, as the PBX names it; empty when it does not. NULL: none.';
COMMENT ON COLUMN realtime.call_sessions.message_left IS
    'Whether the caller left a message there. NULL: no mailbox, or the PBX does not tell.';
