-- no transaction
-- Who owns which conversations: few rows, read twice a minute for owners who were dismissed.
CREATE INDEX CONCURRENTLY IF NOT EXISTS conversation_participants_owners
    ON realtime.conversation_participants (employee_id, conversation_id)
    WHERE role = 'owner' AND left_seq IS NULL;
