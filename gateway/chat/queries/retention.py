"""SQL that deletes messages older than the retention period: one function per statement."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.audit.act import Act
from gateway.audit.queries.audit import AUDITED
from gateway.db import Conn


@dataclass(frozen=True, slots=True)
class RetentionStep:
    """The result of one statement."""

    messages: int
    last_conversation: int | None
    """The last one examined; None when there are no more."""


async def delete_old(
    conn: Conn, *, days: int, after: int, conversations: int, limit: int, audit: Act
) -> RetentionStep:
    """Delete at most `limit` messages older than `days`, of conversations above `after`.

    Oldest first in each conversation, and none that an active participant has not read: every
    unread count stays as it is. Numbers are not used again, last_seq stays. The oldest message of a
    conversation shows whether there is anything to delete. Locked rows are left for the next sweep.
    """
    row = await conn.fetchrow(
        f"""
        -- retention.delete_old
        WITH looked_at AS MATERIALIZED (
            SELECT id, last_seq
              FROM realtime.conversations
             WHERE id > $3
             ORDER BY id
             LIMIT $4
        ), old AS MATERIALIZED (
            SELECT looked_at.id, coalesce(readers.read_to, looked_at.last_seq) AS read_to
              FROM looked_at
             CROSS JOIN LATERAL (
                   SELECT created_at
                     FROM realtime.messages
                    WHERE conversation_id = looked_at.id
                    ORDER BY seq
                    LIMIT 1
                   ) AS oldest
             CROSS JOIN LATERAL (
                   SELECT min(p.last_read_seq) AS read_to
                     FROM realtime.conversation_participants AS p
                     JOIN crm.employees AS e ON e.id = p.employee_id AND e.active
                    WHERE p.conversation_id = looked_at.id AND p.left_seq IS NULL
                   ) AS readers
             WHERE oldest.created_at < now() - make_interval(days => $2)
        ), doomed AS (
            SELECT m.conversation_id, m.seq
              FROM old
             CROSS JOIN LATERAL (
                   SELECT conversation_id, seq, created_at
                     FROM realtime.messages
                    WHERE conversation_id = old.id AND seq <= old.read_to
                    ORDER BY seq
                    LIMIT $5
                   ) AS first
              JOIN realtime.messages AS m
                ON m.conversation_id = first.conversation_id AND m.seq = first.seq
             WHERE first.created_at < now() - make_interval(days => $2)
             LIMIT $5
               FOR UPDATE OF m SKIP LOCKED
        ), deleted AS (
            DELETE FROM realtime.messages AS m
             USING doomed
             WHERE m.conversation_id = doomed.conversation_id AND m.seq = doomed.seq
         RETURNING m.conversation_id, m.seq
        ), files AS (
            UPDATE realtime.attachments AS a SET state = 'gone', due_at = now()
              FROM deleted
             WHERE a.conversation_id = deleted.conversation_id AND a.seq = deleted.seq
        ), changed AS (
            SELECT jsonb_build_object('messages', count(*)) AS facts
              FROM deleted
            HAVING count(*) > 0
        ), {AUDITED}
        SELECT (SELECT count(*) FROM deleted) AS messages,
               (SELECT max(id) FROM looked_at) AS last_conversation
        """,  # noqa: S608 - a part of several statements
        audit.rows(),
        days,
        after,
        conversations,
        limit,
    )
    assert row is not None
    return RetentionStep(row["messages"], row["last_conversation"])
