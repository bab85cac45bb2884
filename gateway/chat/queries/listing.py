"""SQL for someone's conversations as they see them, with all that a list shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.chat.queries.conversations import SHOWN_PARTICIPANTS
from gateway.chat.queries.messages import to_message
from gateway.db import Conn
from gateway.protocol import Conversation, Employee, Mine, Participant, Unread
from gateway.protocol.conversations import UNREAD_CAP


@dataclass(frozen=True, slots=True)
class After:
    """The last row of the page before."""

    last_message_at: datetime
    conversation_id: int


async def page(
    conn: Conn,
    employee_id: int,
    *,
    limit: int,
    after: After | None = None,
    only: int | None = None,
    archived: bool | None = None,
) -> list[Conversation]:
    """Return someone's conversations, newest first, each with all that a list shows.

    archived None: those that are and those that are not.

    One statement: the page is chosen first, then each lateral touches one conversation, and
    messages only where something is unread (realtime.unread_after).
    """
    rows = await conn.fetch(
        """
        -- listing.page
        WITH mine AS MATERIALIZED (
            SELECT c.id, c.kind AS conversation_kind, c.title, c.avatar_url, c.closed_at, c.history,
                   c.last_seq, c.last_change, c.last_message_at,
                   CASE c.history WHEN 'joined' THEN p.joined_seq ELSE 0 END AS hidden_to,
                   p.last_read_seq, p.read_version, p.pinned_at, p.muted_until, p.notify,
                   p.manual_unread, p.mine_version,
                   coalesce(c.last_seq <= p.archived_seq, false) AS archived
              FROM realtime.conversation_participants AS p
              JOIN realtime.conversations AS c ON c.id = p.conversation_id
             WHERE p.employee_id = $1 AND p.left_seq IS NULL
               AND ($2::timestamptz IS NULL OR (c.last_message_at, c.id) < ($2, $3::bigint))
               AND ($4::bigint IS NULL OR c.id = $4)
               AND ($8::boolean IS NULL OR coalesce(c.last_seq <= p.archived_seq, false) = $8)
             ORDER BY c.last_message_at DESC, c.id DESC
             LIMIT $5
        )
        SELECT mine.*, behind.unread, behind.mentions, people.participants,
               people.participant_count, newest.*
          FROM mine
         CROSS JOIN realtime.unread_after(
               mine.id, mine.last_seq, mine.last_read_seq, $1, $6
               ) AS behind
         CROSS JOIN LATERAL (
               SELECT jsonb_agg(jsonb_build_object(
                          'id', e.id, 'name', e.name, 'department', e.department,
                          'position', e.position, 'avatar_url', e.avatar_url,
                          'role', q.role, 'last_read_seq', q.last_read_seq)
                          ORDER BY q.employee_id) AS participants,
                      max(q.participant_count) AS participant_count
                 FROM (SELECT q.employee_id, q.role, q.last_read_seq,
                              count(*) OVER () AS participant_count
                         FROM realtime.conversation_participants AS q
                        WHERE q.conversation_id = mine.id AND q.left_seq IS NULL
                        ORDER BY q.employee_id
                        LIMIT $7) AS q
                 JOIN crm.employees AS e ON e.id = q.employee_id
               ) AS people
          LEFT JOIN LATERAL (
               SELECT m.*
                 FROM realtime.shown_messages AS m
                WHERE m.conversation_id = mine.id AND m.state < 2 AND m.seq > mine.hidden_to
                ORDER BY m.seq DESC
                LIMIT 1
               ) AS newest ON true
         ORDER BY mine.last_message_at DESC, mine.id DESC
        """,
        employee_id,
        after.last_message_at if after else None,
        after.conversation_id if after else None,
        only,
        limit,
        UNREAD_CAP,
        SHOWN_PARTICIPANTS,
        archived,
    )
    return [_to_conversation(row) for row in rows]


def _to_conversation(row: Any) -> Conversation:
    return Conversation(
        id=row["id"],
        kind=row["conversation_kind"],
        title=row["title"],
        avatar_url=row["avatar_url"],
        closed_at=row["closed_at"],
        history=row["history"],
        participants=[_to_participant(item) for item in row["participants"] or ()],
        participant_count=row["participant_count"] or 0,
        last_seq=row["last_seq"],
        last_change=row["last_change"],
        last_message=to_message(row) if row["seq"] is not None else None,
        last_message_at=row["last_message_at"],
        unread=Unread(
            conversation_id=row["id"],
            unread=row["unread"],
            mentions=row["mentions"],
            last_read_seq=row["last_read_seq"],
            version=row["last_change"] + row["read_version"],
            muted_until=row["muted_until"],
            archived=row["archived"],
        ),
        mine=to_mine(row),
    )


def to_mine(row: Any) -> Mine:
    """Make what is only mine of a row of participants, with `archived` told."""
    return Mine(
        archived=row["archived"],
        pinned_at=row["pinned_at"],
        muted_until=row["muted_until"],
        notify=row["notify"],
        manual_unread=row["manual_unread"],
        version=row["mine_version"],
    )


def _to_participant(item: dict[str, Any]) -> Participant:
    return Participant(
        employee=Employee(
            id=item["id"],
            name=item["name"],
            department=item["department"],
            position=item["position"],
            avatar_url=item["avatar_url"],
        ),
        role=item["role"],
        last_read_seq=item["last_read_seq"],
    )
