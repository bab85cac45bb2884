"""SQL for the changes of conversations after a change: the only place that reads them.

Resume, late joins, gaps that a node finds, and message.changes read them here. Each change is the
latest of one row in one of four tables; a row that has changed again is returned only as it is now,
so numbers may be skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gateway.chat.queries.messages import to_message, to_reactions
from gateway.crm.queries.rows import EMPLOYEES
from gateway.db import Conn
from gateway.protocol import (
    ConversationUpdated,
    Employee,
    MessageCreated,
    MessageDeleted,
    MessageReacted,
    MessageUpdated,
    Participant,
    ParticipantChanged,
)


class Change(NamedTuple):
    """One visible change, as an event."""

    conversation_id: int
    change: int
    seq: int
    """Seq of the message that changed; 0 when no message did."""
    last_change: int
    """The conversation's, as of this reading."""
    event: Any


async def after(
    conn: Conn, positions: Sequence[tuple[int, int]], limit: int, *, above: int = 0
) -> list[Change]:
    """Return the changes after each (conversation, change), in order: at most limit of each.

    Changes of messages up to seq `above` are left out. A conversation's first change is its
    creation, which is not returned. Reactions to one message are one change, with all of them as
    they are now. LIMIT 1 has rows found one by one: otherwise PostgreSQL hashed all participants.
    """
    rows = await conn.fetch(
        f"""
        -- changes.after
        SELECT c.id, c.last_change, found.what, found.change AS at, found.seq AS of_seq, m.*,
               c.title, c.avatar_url, c.closed_at, c.history,
               p.employee_id, p.role, p.last_read_seq, p.left_seq,
               p.name, p.department, p.position, p.employee_avatar_url, p.external_id, p.url
          FROM unnest((SELECT $1::bigint[]), (SELECT $2::bigint[])) AS asked (id, after)
         CROSS JOIN LATERAL (
               SELECT * FROM realtime.conversations
                WHERE id = asked.id AND last_change > asked.after
                LIMIT 1
               ) AS c
         CROSS JOIN LATERAL (
               SELECT what, max(change) AS change, seq, employee_id
                 FROM (
                   (SELECT 'message' AS what, change, seq, NULL::bigint AS employee_id
                      FROM realtime.messages
                     WHERE conversation_id = c.id AND change > asked.after AND seq > $4
                     ORDER BY change
                     LIMIT $3)
                    UNION ALL
                   (SELECT 'reactions', change, seq, NULL
                      FROM realtime.message_reactions
                     WHERE conversation_id = c.id AND change > asked.after AND seq > $4
                     ORDER BY change
                     LIMIT $3)
                    UNION ALL
                   (SELECT 'participant', change, 0, employee_id
                      FROM realtime.conversation_participants
                     WHERE conversation_id = c.id AND change > greatest(asked.after, 1)
                     ORDER BY change
                     LIMIT $3)
                    UNION ALL
                    SELECT 'info', c.info_change, 0, NULL
                     WHERE c.info_change > greatest(asked.after, 1)
                     ORDER BY change
                     LIMIT $3
                   ) AS page
                GROUP BY what, seq, employee_id
               ) AS found
          LEFT JOIN LATERAL (
               SELECT * FROM realtime.shown_messages
                WHERE found.seq > 0 AND conversation_id = c.id AND seq = found.seq
                LIMIT 1
               ) AS m ON true
          LEFT JOIN LATERAL (
               SELECT q.employee_id, q.role, q.last_read_seq, q.left_seq, e.name, e.department,
                      e.position, e.avatar_url AS employee_avatar_url, e.external_id, e.url
                 FROM realtime.conversation_participants AS q
                 LEFT JOIN ({EMPLOYEES}) ON e.id = q.employee_id
                WHERE found.employee_id IS NOT NULL
                  AND q.conversation_id = c.id AND q.employee_id = found.employee_id
                LIMIT 1
               ) AS p ON true
         ORDER BY c.id, found.change
        """,  # noqa: S608 - ours
        [conversation_id for conversation_id, _ in positions],
        [change for _, change in positions],
        limit,
        above,
    )
    return [
        Change(row["id"], row["at"], row["of_seq"], row["last_change"], EVENTS[row["what"]](row))
        for row in rows
    ]


def _message(row: Any) -> MessageCreated | MessageUpdated | MessageDeleted:
    message = to_message(row)
    made: type[MessageCreated | MessageUpdated | MessageDeleted] = MessageCreated
    if message.deleted_at is not None:
        made = MessageDeleted
    elif message.edited_at is not None:
        made = MessageUpdated
    return made(conversation_id=message.conversation_id, change=message.change, message=message)


def _reactions(row: Any) -> MessageReacted:
    return MessageReacted(
        conversation_id=row["id"],
        change=row["at"],
        seq=row["of_seq"],
        reactions=to_reactions(row["reactions"]),
    )


def participant_changed(row: Any) -> ParticipantChanged:
    """Make the event of a row of participants that has the employee's columns, too."""
    employee = Employee(
        id=row["employee_id"],
        name=row["name"] or "",
        department=row["department"],
        position=row["position"],
        avatar_url=row["employee_avatar_url"],
        external_id=row["external_id"],
        url=row["url"],
    )
    return ParticipantChanged(
        conversation_id=row["id"],
        change=row["at"],
        participant=Participant(
            employee=employee, role=row["role"], last_read_seq=row["last_read_seq"]
        ),
        left=row["left_seq"] is not None,
    )


def conversation_updated(row: Any) -> ConversationUpdated:
    """Make the event of a row of conversations."""
    return ConversationUpdated(
        conversation_id=row["id"],
        change=row["at"],
        title=row["title"],
        avatar_url=row["avatar_url"],
        closed_at=row["closed_at"],
        history=row["history"],
    )


EVENTS: dict[str, Callable[[Any], Any]] = {
    "message": _message,
    "reactions": _reactions,
    "participant": participant_changed,
    "info": conversation_updated,
}
