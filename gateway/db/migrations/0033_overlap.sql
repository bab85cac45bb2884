-- Talk time that a telephone has on two lines of one call, counted once.

-- NULL in rows of older nodes, until an event or `gateway replay --rebuild` folds the call anew.
ALTER TABLE realtime.call_legs ADD COLUMN overlap_ms bigint;

COMMENT ON COLUMN realtime.call_legs.overlap_ms IS
    'Part of talk_ms in which the telephone also talked on an earlier line in this call. NULL: it '
    'had no earlier line.';
