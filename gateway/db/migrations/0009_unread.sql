-- What somebody has not read of one conversation, for every statement that shows it.

CREATE FUNCTION realtime.unread_after(
    conversation_id bigint, last_seq bigint, read_seq bigint, employee_id bigint, most bigint
) RETURNS TABLE (unread bigint, mentions bigint)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
AS $$
    SELECT unread.count, mentions.count
      FROM (SELECT count(*)
              FROM (SELECT FROM realtime.messages AS m
                     WHERE $2 > $3
                       AND m.conversation_id = $1 AND m.seq > $3
                       AND m.state = 0 AND m.sender_id IS DISTINCT FROM $4
                     LIMIT $5) AS capped
           ) AS unread
     CROSS JOIN (
           SELECT count(*)
             FROM (SELECT FROM realtime.messages AS m
                    WHERE $2 > $3
                      AND m.conversation_id = $1 AND m.seq > $3
                      AND m.state = 0 AND (m.mention_all OR m.mention_ids IS NOT NULL)
                      AND m.sender_id IS DISTINCT FROM $4
                      AND (m.mention_all OR $4 = ANY (m.mention_ids))
                    LIMIT $5) AS capped
           ) AS mentions
$$;

COMMENT ON FUNCTION realtime.unread_after IS
    'Messages of others after the read position, and those of them that mention the employee, each '
    'counted up to `most`. PostgreSQL writes it into the statement that calls it: the comparison of '
    'last_seq and read_seq is a One-Time Filter there, and what is read to its end costs no look.';
