"""SQL that calls the functions which the CRM calls in its own transactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from gateway.db import Conn


class Opened(NamedTuple):
    """A conversation, and whether it was created now."""

    conversation_id: int
    created: bool


@dataclass(frozen=True, slots=True)
class SystemMessage:
    """A message of the system to store."""

    conversation_id: int
    client_key: UUID
    text: str
    reply_to_seq: int | None
    silent: bool
    attrs: dict[str, Any] | None


class Numbered(NamedTuple):
    """The place of a message in its conversation."""

    seq: int
    change: int


async def open_conversation(
    conn: Conn,
    *,
    kind: str,
    title: str | None,
    employee_ids: Sequence[int],
    external_key: str | None,
    created_by: int | None,
) -> Opened:
    """Open a conversation."""
    row = await conn.fetchrow(
        """
        -- by_system.open_conversation
        SELECT conversation_id, created
          FROM realtime.open_conversation(
                   title => $1, employee_ids => $2, external_key => $3, created_by => $4,
                   kind => $5)
        """,
        title,
        list(employee_ids),
        external_key,
        created_by,
        kind,
    )
    assert row is not None
    return Opened(*row)


async def add_participants(
    conn: Conn, conversation_id: int, employee_ids: Sequence[int], *, by_id: int | None
) -> list[int]:
    """Add employees; return those who were not in it."""
    rows = await conn.fetch(
        """
        -- by_system.add_participants
        SELECT * FROM realtime.add_participants($1, $2, $3) AS id
        """,
        conversation_id,
        list(employee_ids),
        by_id,
    )
    return [row["id"] for row in rows]


async def remove_participants(
    conn: Conn,
    conversation_id: int,
    employee_ids: Sequence[int],
    *,
    by_id: int | None,
    origin: Mapping[str, str | None],
) -> list[int]:
    """Remove employees; return those who were in it.

    The function reads the origin for its rows of the audit: it is set for this statement alone.
    """
    rows = await conn.fetch(
        """
        -- by_system.remove_participants
        SELECT removed.id
          FROM set_config('realtime.audit_origin', $4, true) AS origin
         CROSS JOIN LATERAL realtime.remove_participants(
               CASE WHEN origin IS NOT NULL THEN $1::bigint END, $2, $3) AS removed (id)
        """,
        conversation_id,
        list(employee_ids),
        by_id,
        orjson.dumps(origin).decode(),
    )
    return [row["id"] for row in rows]


async def send_message(conn: Conn, message: SystemMessage) -> Numbered:
    """Store a message of the system, or find the one with its client_key."""
    row = await conn.fetchrow(
        """
        -- by_system.send_message
        SELECT seq, change
          FROM realtime.send_message(
                   conversation_id => $1, sender_id => NULL, body => $2, client_key => $3,
                   reply_to_seq => $4, silent => $5, attrs => $6)
        """,
        message.conversation_id,
        message.text,
        message.client_key,
        message.reply_to_seq,
        message.silent,
        message.attrs,
    )
    assert row is not None
    return Numbered(*row)
