"""SQL for conversations: one function per statement."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple, cast

from gateway.db import Conn
from gateway.protocol.conversations import Role

SHOWN_PARTICIPANTS = 20

PARTICIPANT = re.compile(r"(\d+)([a-z]+)(\d+)")


class ListedParticipant(NamedTuple):
    """A participant, as the list of conversations shows them."""

    employee_id: int
    role: Role
    last_read_seq: int


def parse_participants(people: str | None) -> list[ListedParticipant]:
    """Parse participants, `17member40,23owner41` (id, role, last_read_seq), as far as shown.

    Text, because jsonb or an array of rows takes many times as long to build and to parse.
    """
    return [
        ListedParticipant(int(employee_id), cast("Role", role), int(seq))
        for employee_id, role, seq in PARTICIPANT.findall(people or "")[:SHOWN_PARTICIPANTS]
    ]


@dataclass(frozen=True, slots=True)
class ConversationPosition:
    """A conversation and its last change."""

    conversation_id: int
    last_change: int


async def list_positions(conn: Conn, employee_id: int, limit: int) -> list[ConversationPosition]:
    """Return an employee's conversations, the most recently active first."""
    rows = await conn.fetch(
        """
        -- conversations.list_positions
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
    return [ConversationPosition(row["id"], row["last_change"]) for row in rows]


async def lock(conn: Conn, employee_id: int, conversation_id: int) -> bool:
    """Lock the conversation until the transaction ends; False when this employee is not in it.

    Read the membership again in a statement after this: someone removed while this one waited is no
    longer a member. The check here only keeps non-members from locking.
    """
    return bool(
        await conn.fetchval(
            """
            -- conversations.lock
            SELECT true
              FROM realtime.conversations AS c
              JOIN realtime.conversation_participants AS p ON p.conversation_id = c.id
             WHERE c.id = $2 AND p.employee_id = $1 AND p.left_seq IS NULL
               FOR NO KEY UPDATE OF c
            """,
            employee_id,
            conversation_id,
        )
    )


async def is_participant(conn: Conn, employee_id: int, conversation_id: int) -> bool:
    """Return whether this employee is in this conversation now."""
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
    """Return the direct conversation of these two, and whether it was created now.

    When both open it at the same moment, the unique direct_key makes the second wait for the commit
    of the first and find its row.
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
    """Create a group of the owner and these people; return its id."""
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
