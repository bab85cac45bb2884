"""SQL for delivery positions, and for the readers of a message."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.db import Conn
from gateway.protocol import Readers


@dataclass(frozen=True, slots=True)
class DeliveryPosition:
    """A delivery position, and the senders of the messages that it newly covers."""

    last_delivered_seq: int
    senders: list[int]


async def delivered(
    conn: Conn, employee_id: int, conversation_id: int, seq: int, most: int
) -> DeliveryPosition | None:
    """Move the position forward to seq, at most to the newest message; None for a non-member.

    Senders are those of the newest `most` messages that were not delivered before.
    """
    row = await conn.fetchrow(
        """
        -- delivered.delivered
        WITH moved AS (
            UPDATE realtime.conversation_participants AS p
               SET last_delivered_seq = least($3, c.last_seq)
              FROM realtime.conversations AS c
              JOIN realtime.conversation_participants AS old
                ON old.conversation_id = c.id AND old.employee_id = $1
             WHERE c.id = $2 AND p.conversation_id = c.id AND p.employee_id = $1
               AND p.left_seq IS NULL AND p.last_delivered_seq < least($3, c.last_seq)
         RETURNING p.last_delivered_seq, old.last_delivered_seq AS before
        )
        SELECT last_delivered_seq,
               ARRAY(SELECT DISTINCT m.sender_id
                       FROM (SELECT sender_id FROM realtime.messages
                              WHERE conversation_id = $2 AND seq > moved.before
                                AND seq <= moved.last_delivered_seq
                              ORDER BY seq DESC
                              LIMIT $4) AS m
                      WHERE m.sender_id <> $1) AS senders
          FROM moved
         UNION ALL
        SELECT p.last_delivered_seq, '{}'
          FROM realtime.conversation_participants AS p
         WHERE p.conversation_id = $2 AND p.employee_id = $1 AND p.left_seq IS NULL
           AND NOT EXISTS (SELECT FROM moved)
        """,
        employee_id,
        conversation_id,
        seq,
        most,
    )
    return DeliveryPosition(**row) if row else None


async def readers(conn: Conn, conversation_id: int, seq: int, most: int) -> Readers | None:
    """Return the readers of a message without its sender; None when there is no such message."""
    row = await conn.fetchrow(
        """
        -- delivered.readers
        SELECT (array_agg(p.employee_id ORDER BY p.employee_id)
                    FILTER (WHERE p.last_read_seq >= m.seq))[:$3] AS read_by,
               count(*) FILTER (WHERE p.last_read_seq >= m.seq) AS read_count,
               count(*) FILTER (WHERE greatest(p.last_read_seq, p.last_delivered_seq) >= m.seq)
                    AS delivered_count,
               count(p.employee_id) AS participant_count
          FROM realtime.messages AS m
          LEFT JOIN realtime.conversation_participants AS p
            ON p.conversation_id = m.conversation_id AND p.left_seq IS NULL
           AND p.employee_id IS DISTINCT FROM m.sender_id
         WHERE m.conversation_id = $1 AND m.seq = $2
         GROUP BY m.seq
        """,
        conversation_id,
        seq,
        most,
    )
    if row is None:
        return None
    return Readers(
        conversation_id=conversation_id,
        seq=seq,
        read_by=row["read_by"] or [],
        read_count=row["read_count"],
        delivered_count=row["delivered_count"],
        participant_count=row["participant_count"],
    )
