"""SQL for participants, roles, title and closing of a conversation.

Every function but `lock` expects the conversation's row to be locked by this transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.audit.act import Act, rows
from gateway.audit.queries.audit import AUDITED
from gateway.auth.queries.employees import to_employee
from gateway.chat.queries import conversations
from gateway.chat.queries.changes import conversation_updated, participant_changed
from gateway.crm.queries.rows import EMPLOYEES
from gateway.db import Conn
from gateway.protocol import (
    ConversationUpdated,
    Participant,
    ParticipantChanged,
)
from gateway.protocol.conversations import History, Kind, Role


@dataclass(frozen=True, slots=True)
class LockedConversation:
    """A conversation that this transaction has locked, and the caller's role in it."""

    id: int
    kind: Kind
    title: str | None
    avatar_url: str | None
    history: History
    closed_at: datetime | None
    role: Role


@dataclass(frozen=True, slots=True)
class Member:
    """Someone who is in the conversation, or has left it."""

    employee_id: int
    role: Role
    left: bool


async def lock(conn: Conn, employee_id: int, conversation_id: int) -> LockedConversation | None:
    """Lock the conversation, and return it; None when this person is not in it then."""
    if not await conversations.lock(conn, employee_id, conversation_id):
        return None
    row = await conn.fetchrow(
        """
        -- members.lock
        SELECT c.id, c.kind, c.title, c.avatar_url, c.history, c.closed_at, p.role
          FROM realtime.conversation_participants AS p
          JOIN realtime.conversations AS c ON c.id = p.conversation_id
         WHERE p.conversation_id = $2 AND p.employee_id = $1 AND p.left_seq IS NULL
        """,
        employee_id,
        conversation_id,
    )
    return LockedConversation(**row) if row else None


async def find(conn: Conn, conversation_id: int, employee_ids: Collection[int]) -> list[Member]:
    """Return the present and former members among these people."""
    rows = await conn.fetch(
        """
        -- members.find
        SELECT employee_id, role, left_seq IS NOT NULL AS "left"
          FROM realtime.conversation_participants
         WHERE conversation_id = $1 AND employee_id = ANY ($2::bigint[])
        """,
        conversation_id,
        list(employee_ids),
    )
    return [Member(**row) for row in rows]


async def page(conn: Conn, conversation_id: int, *, after: int, limit: int) -> list[Participant]:
    """Return a page of participants in the order of their ids, after this id."""
    rows = await conn.fetch(
        f"""
        -- members.page
        SELECT p.role, p.last_read_seq, e.*
          FROM (SELECT employee_id, role, last_read_seq
                  FROM realtime.conversation_participants
                 WHERE conversation_id = $1 AND left_seq IS NULL AND employee_id > $2
                 ORDER BY employee_id
                 LIMIT $3) AS p
          JOIN ({EMPLOYEES}) ON e.id = p.employee_id
         ORDER BY e.id
        """,  # noqa: S608 - ours
        conversation_id,
        after,
        limit,
    )
    return [
        Participant(employee=to_employee(row), role=row["role"], last_read_seq=row["last_read_seq"])
        for row in rows
    ]


async def count(conn: Conn, conversation_id: int) -> int:
    """Return the number of participants."""
    found = await conn.fetchval(
        """
        -- members.count
        SELECT count(*) FROM realtime.conversation_participants
         WHERE conversation_id = $1 AND left_seq IS NULL
        """,
        conversation_id,
    )
    assert isinstance(found, int)
    return found


async def join(conn: Conn, conversation_id: int, employee_ids: Sequence[int]) -> None:
    """Add these people, none of whom is in it: one change for each, in this order.

    A former member's row is used again, with all preferences reset.
    """
    await conn.execute(
        """
        -- members.join
        WITH room AS (
            UPDATE realtime.conversations
               SET last_change = last_change + cardinality($2::bigint[])
             WHERE id = $1
         RETURNING id, last_seq, last_change - cardinality($2::bigint[]) AS before
        )
        INSERT INTO realtime.conversation_participants AS p
               (conversation_id, employee_id, change, joined_seq, last_read_seq,
                last_delivered_seq)
        SELECT room.id, people.id, room.before + people.place, room.last_seq, room.last_seq,
               room.last_seq
          FROM room, unnest($2::bigint[]) WITH ORDINALITY AS people (id, place)
            ON CONFLICT (conversation_id, employee_id) DO UPDATE
           SET change = excluded.change, role = 'member', joined_at = now(), left_seq = NULL,
               joined_seq = excluded.joined_seq, last_read_seq = excluded.last_read_seq,
               last_delivered_seq = excluded.last_delivered_seq, manual_unread = false,
               archived_seq = NULL, muted_until = NULL, pinned_at = NULL, notify = 'all',
               read_version = p.read_version + 1, mine_version = p.mine_version + 1
        """,
        conversation_id,
        list(employee_ids),
    )


async def leave(
    conn: Conn, conversation_id: int, employee_id: int, *, audit: Act | None = None
) -> None:
    """Remove someone under the next change. The row stays: resuming clients read its change."""
    await conn.execute(
        f"""
        -- members.leave
        WITH room AS (
            UPDATE realtime.conversations SET last_change = last_change + 1 WHERE id = $2
         RETURNING last_change, last_seq
        ), changed AS (
            UPDATE realtime.conversation_participants
               SET left_seq = room.last_seq, change = room.last_change
              FROM room
             WHERE conversation_id = $2 AND employee_id = $3
         RETURNING '{{}}'::jsonb AS facts
        ), {AUDITED}
        SELECT
        """,  # noqa: S608 - a part of several statements
        rows(audit),
        conversation_id,
        employee_id,
    )


async def set_role(
    conn: Conn, conversation_id: int, employee_id: int, role: Role, *, audit: Act | None
) -> None:
    """Give someone who is in it a role under the next change."""
    await conn.execute(
        f"""
        -- members.set_role
        WITH room AS (
            UPDATE realtime.conversations SET last_change = last_change + 1 WHERE id = $2
         RETURNING last_change
        ), changed AS (
            UPDATE realtime.conversation_participants
               SET role = $4, change = room.last_change
              FROM room
             WHERE conversation_id = $2 AND employee_id = $3
         RETURNING '{{}}'::jsonb AS facts
        ), {AUDITED}
        SELECT
        """,  # noqa: S608 - a part of several statements
        rows(audit),
        conversation_id,
        employee_id,
        role,
    )


async def is_last_owner(conn: Conn, conversation_id: int, employee_id: int) -> bool:
    """Say whether this person is the only owner; those who are dismissed do not count."""
    found = await conn.fetch(
        """
        -- members.is_last_owner
        SELECT p.employee_id
          FROM realtime.conversation_participants AS p
         WHERE p.conversation_id = $1 AND p.left_seq IS NULL AND p.role = 'owner'
           AND (p.employee_id = $2
                OR EXISTS (SELECT FROM crm.employees AS e WHERE e.id = p.employee_id AND e.active))
         LIMIT 2
        """,
        conversation_id,
        employee_id,
    )
    return [row["employee_id"] for row in found] == [employee_id]


async def has_active_owner(conn: Conn, conversation_id: int) -> bool:
    """Return whether one of the owners is not dismissed."""
    return bool(
        await conn.fetchval(
            """
            -- members.has_active_owner
            SELECT EXISTS (SELECT
                             FROM realtime.conversation_participants AS p
                             JOIN crm.employees AS e ON e.id = p.employee_id AND e.active
                            WHERE p.conversation_id = $1 AND p.left_seq IS NULL
                              AND p.role = 'owner')
            """,
            conversation_id,
        )
    )


async def next_owner(conn: Conn, conversation_id: int, *, leaving: int | None = None) -> int | None:
    """Return who becomes owner: the longest-standing admin, else member, but not who is leaving.

    Nobody who is dismissed; None when there is nobody else.
    """
    found: int | None = await conn.fetchval(
        """
        -- members.next_owner
        SELECT p.employee_id
          FROM realtime.conversation_participants AS p
          JOIN crm.employees AS e ON e.id = p.employee_id AND e.active
         WHERE p.conversation_id = $1 AND p.left_seq IS NULL
           AND p.employee_id IS DISTINCT FROM $2
         ORDER BY p.role = 'admin' DESC, p.joined_at, p.employee_id
         LIMIT 1
        """,
        conversation_id,
        leaving,
    )
    return found


async def next_dismissed_owner(conn: Conn, conversation_id: int, *, leaving: int) -> int | None:
    """Return who becomes owner where nobody else is active, so that the group keeps one.

    None when there is nobody else, or one of them is owner already.
    """
    row = await conn.fetchrow(
        """
        -- members.next_dismissed_owner
        SELECT p.employee_id, p.role
          FROM realtime.conversation_participants AS p
         WHERE p.conversation_id = $1 AND p.left_seq IS NULL AND p.employee_id <> $2
         ORDER BY p.role = 'owner' DESC, p.role = 'admin' DESC, p.joined_at, p.employee_id
         LIMIT 1
        """,
        conversation_id,
        leaving,
    )
    return row["employee_id"] if row and row["role"] != "owner" else None


async def update(
    conn: Conn,
    conversation_id: int,
    *,
    title: str | None,
    avatar_url: str | None,
    history: History,
    closed: bool,
    audit: Act,
) -> ConversationUpdated:
    """Store these values under the conversation's next change; return the event to announce."""
    row = await conn.fetchrow(
        f"""
        -- members.update
        WITH changed AS (
            UPDATE realtime.conversations
               SET title = $3, avatar_url = $4, history = $5,
                   closed_at = CASE WHEN $6 THEN coalesce(closed_at, now()) END,
                   last_change = last_change + 1, info_change = last_change + 1
             WHERE id = $2
         RETURNING id, info_change AS at, title, avatar_url, history, closed_at,
                   '{{}}'::jsonb AS facts
        ), {AUDITED}
        SELECT id, at, title, avatar_url, history, closed_at FROM changed
        """,  # noqa: S608 - a part of several statements
        rows(audit),
        conversation_id,
        title,
        avatar_url,
        history,
        closed,
    )
    assert row is not None
    return conversation_updated(row)


async def participant_events(
    conn: Conn, conversation_id: int, employee_ids: Collection[int]
) -> list[ParticipantChanged]:
    """Return these people's memberships as they are now, as events in the order of changes."""
    rows = await conn.fetch(
        f"""
        -- members.participant_events
        SELECT p.conversation_id AS id, p.change AS at, p.role, p.last_read_seq, p.left_seq,
               p.employee_id, e.name, e.department, e.position,
               e.avatar_url AS employee_avatar_url, e.external_id, e.url
          FROM realtime.conversation_participants AS p
          LEFT JOIN ({EMPLOYEES}) ON e.id = p.employee_id
         WHERE p.conversation_id = $1 AND p.employee_id = ANY ($2::bigint[])
         ORDER BY p.change
        """,  # noqa: S608 - ours
        conversation_id,
        list(employee_ids),
    )
    return [participant_changed(row) for row in rows]


async def hidden_to(
    conn: Conn, conversation_id: int, employee_ids: Collection[int]
) -> dict[int, int]:
    """Return employee → the seq up to which messages are hidden from those who joined later."""
    rows = await conn.fetch(
        """
        -- members.hidden_to
        SELECT p.employee_id, p.joined_seq
          FROM realtime.conversation_participants AS p
          JOIN realtime.conversations AS c ON c.id = p.conversation_id AND c.history = 'joined'
         WHERE p.conversation_id = $1 AND p.employee_id = ANY ($2::bigint[])
           AND p.left_seq IS NULL AND p.joined_seq > 0
        """,
        conversation_id,
        list(employee_ids),
    )
    return {row["employee_id"]: row["joined_seq"] for row in rows}
