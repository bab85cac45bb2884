"""SQL for conversations: one function per statement."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.chat.queries.messages import to_message
from gateway.db import Conn
from gateway.protocol import Conversation, Employee, Participant, Unread
from gateway.protocol.conversations import UNREAD_CAP

SHOWN_PARTICIPANTS = 20


@dataclass(frozen=True, slots=True)
class Membership:
    """One conversation of someone, and where it stands."""

    conversation_id: int
    last_change: int


async def memberships(conn: Conn, employee_id: int, limit: int) -> list[Membership]:
    """Return someone's conversations, the most recently active first."""
    rows = await conn.fetch(
        """
        -- conversations.memberships
        SELECT c.id, c.last_change
          FROM realtime.conversation_participants AS p
          JOIN realtime.conversations AS c ON c.id = p.conversation_id
         WHERE p.employee_id = $1 AND p.left_seq IS NULL
         ORDER BY c.last_message_at DESC, c.id DESC
         LIMIT $2
        """,
        employee_id,
        limit,
    )
    return [Membership(row["id"], row["last_change"]) for row in rows]


async def positions(conn: Conn, conversation_ids: Sequence[int]) -> dict[int, int]:
    """Return conversation → last_change."""
    rows = await conn.fetch(
        """
        -- conversations.positions
        SELECT id, last_change FROM realtime.conversations WHERE id = ANY ($1::bigint[])
        """,
        conversation_ids,
    )
    return {row["id"]: row["last_change"] for row in rows}


async def fingerprints(conn: Conn, employee_ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """Return employee → how many conversations they are in, and the sum of their numbers.

    Index-only, and enough to see that a membership came or went without reading all of them.
    """
    rows = await conn.fetch(
        """
        -- conversations.fingerprints
        SELECT asked.id, count(p.conversation_id) AS count,
               coalesce(sum(p.conversation_id), 0)::text AS sum
          FROM unnest($1::bigint[]) AS asked (id)
          LEFT JOIN realtime.conversation_participants AS p
            ON p.employee_id = asked.id AND p.left_seq IS NULL
         GROUP BY asked.id
        """,
        list(employee_ids),
    )
    return {row["id"]: (row["count"], int(row["sum"])) for row in rows}


async def is_participant(conn: Conn, employee_id: int, conversation_id: int) -> bool:
    """Say whether this person is in this conversation now."""
    return bool(
        await conn.fetchval(
            """
            -- conversations.is_participant
            SELECT EXISTS (SELECT FROM realtime.conversation_participants
                            WHERE conversation_id = $2 AND employee_id = $1
                              AND left_seq IS NULL)
            """,
            employee_id,
            conversation_id,
        )
    )


async def active_employees(conn: Conn, employee_ids: Collection[int]) -> set[int]:
    """Return which of these are active employees."""
    rows = await conn.fetch(
        """
        -- conversations.active_employees
        SELECT id FROM crm.employees WHERE id = ANY ($1::bigint[]) AND active
        """,
        list(employee_ids),
    )
    return {row["id"] for row in rows}


async def open_direct(conn: Conn, employee_id: int, other_id: int) -> tuple[int, bool]:
    """Return the direct conversation of these two and whether it was made now.

    Two people who open it at the same moment meet at the unique direct_key: the second waits
    for the first's commit and finds its row.
    """
    row = await conn.fetchrow(
        """
        -- conversations.open_direct
        WITH made AS (
            INSERT INTO realtime.conversations (kind, direct_key, created_by, last_change)
            VALUES ('direct', least($1::bigint, $2) || ':' || greatest($1::bigint, $2), $1, 1)
                ON CONFLICT (direct_key) WHERE direct_key IS NOT NULL DO NOTHING
         RETURNING id
        ), joined AS (
            INSERT INTO realtime.conversation_participants
                   (conversation_id, employee_id, role, change)
            SELECT made.id, people.id, 'member', 1
              FROM made, unnest(ARRAY[$1::bigint, $2]) AS people (id)
        )
        SELECT id FROM made
        """,
        employee_id,
        other_id,
    )
    if row is not None:
        return row["id"], True
    found = await conn.fetchval(
        """
        -- conversations.find_direct
        SELECT id FROM realtime.conversations
         WHERE direct_key = least($1::bigint, $2) || ':' || greatest($1::bigint, $2)
        """,
        employee_id,
        other_id,
    )
    assert isinstance(found, int)
    return found, False


async def create_group(
    conn: Conn, owner_id: int, *, title: str, employee_ids: Collection[int]
) -> int:
    """Make a group of the owner and these people; return its id."""
    conversation_id = await conn.fetchval(
        """
        -- conversations.create_group
        WITH made AS (
            INSERT INTO realtime.conversations (kind, title, created_by, last_change)
            VALUES ('group', $2, $1, 1)
         RETURNING id
        ), joined AS (
            INSERT INTO realtime.conversation_participants
                   (conversation_id, employee_id, role, change)
            SELECT made.id, people.id, CASE WHEN people.id = $1 THEN 'owner' ELSE 'member' END, 1
              FROM made, unnest(array_append($3::bigint[], $1)) AS people (id)
        )
        SELECT id FROM made
        """,
        owner_id,
        title,
        [employee_id for employee_id in employee_ids if employee_id != owner_id],
    )
    assert isinstance(conversation_id, int)
    return conversation_id


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
) -> list[Conversation]:
    """Return someone's conversations, newest first, each with all that a list shows.

    One statement: the page is chosen first, then each lateral touches one conversation. The
    check against last_read_seq stands inside the laterals' WHERE, where PostgreSQL plans it as
    a One-Time Filter and never opens messages of a conversation that is read to its end.
    """
    rows = await conn.fetch(
        """
        -- conversations.page
        WITH mine AS MATERIALIZED (
            SELECT c.id, c.kind, c.title, c.last_seq, c.last_change, c.last_message_at,
                   p.last_read_seq, p.read_version
              FROM realtime.conversation_participants AS p
              JOIN realtime.conversations AS c ON c.id = p.conversation_id
             WHERE p.employee_id = $1 AND p.left_seq IS NULL
               AND ($2::timestamptz IS NULL OR (c.last_message_at, c.id) < ($2, $3::bigint))
               AND ($4::bigint IS NULL OR c.id = $4)
             ORDER BY c.last_message_at DESC, c.id DESC
             LIMIT $5
        )
        SELECT mine.*, unread.unread, mentions.mentions, people.participants,
               people.participant_count, newest.*
          FROM mine
         CROSS JOIN LATERAL (
               SELECT count(*) AS unread
                 FROM (SELECT FROM realtime.messages AS m
                        WHERE mine.last_seq > mine.last_read_seq
                          AND m.conversation_id = mine.id AND m.seq > mine.last_read_seq
                          AND m.state = 0 AND m.sender_id IS DISTINCT FROM $1
                        LIMIT $6) AS capped
               ) AS unread
         CROSS JOIN LATERAL (
               SELECT count(*) AS mentions
                 FROM (SELECT FROM realtime.messages AS m
                        WHERE mine.last_seq > mine.last_read_seq
                          AND m.conversation_id = mine.id AND m.seq > mine.last_read_seq
                          AND m.state = 0 AND (m.mention_all OR m.mention_ids IS NOT NULL)
                          AND m.sender_id IS DISTINCT FROM $1
                          AND (m.mention_all OR $1 = ANY (m.mention_ids))
                        LIMIT $6) AS capped
               ) AS mentions
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
               SELECT m.conversation_id, m.seq, m.change, m.sender_id, m.client_key, m.body,
                      m.created_at
                 FROM realtime.messages AS m
                WHERE m.conversation_id = mine.id AND m.state < 2
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
    )
    return [_to_conversation(row) for row in rows]


def _to_conversation(row: Any) -> Conversation:
    return Conversation(
        id=row["id"],
        kind=row["kind"],
        title=row["title"],
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
        ),
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
