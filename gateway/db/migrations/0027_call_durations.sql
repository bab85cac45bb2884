-- Lists of calls by how long their callers waited and how long they talked.

-- Ranges are asked for, and lists are read newest first: no index has both orders. So calls lie in
-- classes, each twice as long as the one before; a range is a few classes, each read newest first.
CREATE FUNCTION realtime.duration_class(ms bigint) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT width_bucket(ms, '{1000,2000,4000,8000,16000,32000,64000,128000,256000,512000,1024000,
                              2048000,4096000,8192000,16384000,32768000}'::bigint[])
$$;

COMMENT ON FUNCTION realtime.duration_class IS
    '0: less than a second, 1: 1 to 2 s, 2: 2 to 4 s, 3: 4 to 8 s … 16: more than 9 hours. The '
    'indexes of calls by duration use it: whoever changes it builds these anew.';

-- Without these the planner takes a class for a 200th of all calls, and sorts what it should page.
CREATE STATISTICS realtime.call_sessions_wait_class
    ON (realtime.duration_class(wait_ms)) FROM realtime.call_sessions;
CREATE STATISTICS realtime.call_sessions_talk_class
    ON (realtime.duration_class(talk_ms)) FROM realtime.call_sessions;
-- Not of an empty table: that it is empty would be believed until the next ANALYZE, and each check
-- of a foreign key would read the growing table from end to end meanwhile.
DO $$
BEGIN
    IF EXISTS (SELECT FROM realtime.call_sessions) THEN
        ANALYZE realtime.call_sessions;
    END IF;
END
$$;
