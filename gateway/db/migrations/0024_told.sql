-- The order in which a PBX told its events, for those of one time: many PBXs report whole seconds.

-- NULL: stored by a node of a release before. Such events come first at their time.
ALTER TABLE realtime.call_events ADD COLUMN told bigint;

COMMENT ON COLUMN realtime.call_events.told IS
    'The number of this event among those of its PBX, in the order of their first receipt. Of two '
    'events of one time, the one with the lower number comes first. NULL in rows of older nodes.';

-- The last number given. Whoever stores events of a PBX holds its row, so numbers follow commits.
ALTER TABLE realtime.ingest_turns ADD COLUMN told bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN realtime.ingest_turns.told IS
    'The last number given to an event of this PBX; its transaction takes as many as it has events.';
