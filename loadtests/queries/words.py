"""SQL for a searchable archive: messages of many words, some in nearly all, some in hardly any."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.db import Conn

COMMON, RARE, UNIQUE = "клієнт", "рідкісне", "єдинорог"


async def write(
    conn: Conn, employee_ids: Sequence[int], *, conversations: int, messages: int, days: int
) -> None:
    """Write messages over so many days, all conversations in turn.

    Two of five hold COMMON, one of a thousand RARE, two of all UNIQUE; the other ten words come
    from 2,000, the low ones often. The first of these people is in every twentieth conversation.
    """
    await conn.execute(
        """
        -- words.write
        WITH made AS (
            INSERT INTO realtime.conversations
                   (kind, title, created_by, last_seq, last_change, created_at)
            SELECT 'group', 'Room ' || n, 1, $3::bigint / $2, $3::bigint / $2 + 1,
                   now() - make_interval(days => $4::int)
              FROM generate_series(1, $2::bigint) AS n
         RETURNING id
        )
        INSERT INTO realtime.conversation_participants (conversation_id, employee_id, role, change)
        SELECT id, ($1::bigint[])[2 + id % (cardinality($1::bigint[]) - 1)], 'member', 1 FROM made
         UNION ALL
        SELECT id, ($1::bigint[])[1], 'member', 1 FROM made WHERE id % 20 = 0
        """,
        employee_ids,
        conversations,
        messages,
        days,
    )
    again = await conn.fetchval(
        """
        -- words.index
        SELECT pg_get_indexdef('realtime.messages_search'::regclass)
        """
    )
    await conn.execute("-- words.unindex\nDROP INDEX realtime.messages_search")
    await conn.execute(
        """
        -- words.write_messages
        INSERT INTO realtime.messages
               (conversation_id, seq, sender_id, body, change, created_at)
        SELECT c.id, (n - 1) / $2 + 1, ($1::bigint[])[1 + n % cardinality($1::bigint[])],
               concat_ws(' ', said.words,
                         CASE WHEN (n + n / $2 + n / 20000) % 5 IN (1, 3) THEN $5::text END,
                         CASE WHEN n % 1000 < 20 AND n % 20 = n / 1000 % 20 THEN $6::text END,
                         CASE WHEN n IN (20, $3::bigint - $3::bigint % 20) THEN $7::text END),
               n + 1, now() - ($3::bigint - n) * make_interval(days => $4::int) / $3::float8
          FROM generate_series(1, $3::bigint) AS n
          JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place
                  FROM realtime.conversations) AS c ON c.place = (n - 1) % $2
         CROSS JOIN LATERAL (
               SELECT string_agg('слово' || (n * k * 7919 % (1 + (n * 31 + k * 17) % 2000)), ' ')
                      AS words
                 FROM generate_series(1, 10) AS k) AS said
        """,
        employee_ids,
        conversations,
        messages,
        days,
        COMMON,
        RARE,
        UNIQUE,
    )
    await conn.execute(
        """
        -- words.settle
        UPDATE realtime.conversations AS c
           SET last_message_at = (SELECT max(created_at) FROM realtime.messages AS m
                                   WHERE m.conversation_id = c.id)
        """
    )
    await conn.execute(f"-- words.reindex\n{again}")
    await conn.execute("-- words.vacuum\nVACUUM (ANALYZE)")


async def some_room(conn: Conn, employee_id: int) -> tuple[int, int]:
    """Return a conversation of this person, and someone who said COMMON in one."""
    row = await conn.fetchrow(
        """
        -- words.some_room
        SELECT m.conversation_id, m.sender_id
          FROM realtime.conversation_participants AS p
          JOIN realtime.messages AS m ON m.conversation_id = p.conversation_id
         WHERE p.employee_id = $1 AND strpos(m.body, $2) > 0
         LIMIT 1
        """,
        employee_id,
        COMMON,
    )
    assert row is not None
    return row["conversation_id"], row["sender_id"]
