"""SQL for an employee's conversations, with everything that a list shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.auth.queries.employees import to_employee
from gateway.chat.queries.conversations import SHOWN_PARTICIPANTS, parse_participants
from gateway.chat.queries.messages import to_message
from gateway.crm.queries.rows import EMPLOYEES
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
    """Return an employee's conversations, newest first, each with everything that a list shows.

    archived None returns archived and other conversations.

    One statement: the page is chosen first, then each lateral reads one conversation, and messages
    only where something is unread (realtime.unread_after). The same people are in many
    conversations: each is described once, with the first row; for 51 conversations of ten people
    that halved the time. LIMIT 1 has conversations found one by one, not by hashing all of them.
    """
    rows = await conn.fetch(
        f"""
        -- listing.page
        WITH mine AS MATERIALIZED (
            SELECT c.id, c.kind AS conversation_kind, c.title, c.avatar_url, c.closed_at, c.history,
                   c.last_seq, c.last_change, c.last_message_at,
                   CASE c.history WHEN 'joined' THEN p.joined_seq ELSE 0 END AS hidden_to,
                   p.last_read_seq, p.read_version, p.pinned_at, p.muted_until, p.notify,
                   p.manual_unread, p.mine_version,
                   coalesce(c.last_seq <= p.archived_seq, false) AS archived
              FROM realtime.conversation_participants AS p
             CROSS JOIN LATERAL (
                   SELECT * FROM realtime.conversations WHERE id = p.conversation_id LIMIT 1
                   ) AS c
             WHERE p.employee_id = $1 AND p.left_seq IS NULL
               AND ($2::timestamptz IS NULL OR (c.last_message_at, c.id) < ($2, $3::bigint))
               AND ($4::bigint IS NULL OR p.conversation_id = $4)
               AND ($8::boolean IS NULL OR coalesce(c.last_seq <= p.archived_seq, false) = $8)
             ORDER BY c.last_message_at DESC, c.id DESC
             LIMIT $5
        ), seats AS MATERIALIZED (
            SELECT mine.id AS conversation_id, q.*
              FROM mine
             CROSS JOIN LATERAL (
                   SELECT employee_id, role, last_read_seq
                     FROM realtime.conversation_participants
                    WHERE conversation_id = mine.id AND left_seq IS NULL
                    ORDER BY employee_id
                    LIMIT $7::bigint + 1) AS q
        ), listed AS MATERIALIZED (
            SELECT conversation_id, count(*),
                   string_agg(employee_id || role || last_read_seq, ',' ORDER BY employee_id)
                       AS people
              FROM seats
             GROUP BY conversation_id
        )
        SELECT mine.*, behind.unread, behind.mentions, listed.people,
               greatest(listed.count, counted.count) AS participant_count,
               CASE WHEN row_number() OVER newest_first = 1 THEN (
                   SELECT jsonb_agg(to_jsonb(e))
                     FROM (SELECT e.id, e.name, e.department, e.position, e.avatar_url,
                                  e.external_id, e.url
                             FROM {EMPLOYEES}
                            WHERE e.id IN (SELECT employee_id FROM seats)) AS e
               ) END AS employees,
               newest.*
          FROM mine
          JOIN listed ON listed.conversation_id = mine.id
         CROSS JOIN realtime.unread_after(
               mine.id, mine.last_seq, mine.last_read_seq, $1, $6
               ) AS behind
         CROSS JOIN LATERAL (
               SELECT count(*)
                 FROM realtime.conversation_participants
                WHERE listed.count > $7 AND conversation_id = mine.id AND left_seq IS NULL
               ) AS counted
          LEFT JOIN LATERAL (
               SELECT m.*
                 FROM realtime.shown_messages AS m
                WHERE m.conversation_id = mine.id AND m.state < 2 AND m.seq > mine.hidden_to
                ORDER BY m.seq DESC
                LIMIT 1
               ) AS newest ON true
        WINDOW newest_first AS (ORDER BY mine.last_message_at DESC, mine.id DESC)
         ORDER BY mine.last_message_at DESC, mine.id DESC
        """,  # noqa: S608 - ours
        employee_id,
        after.last_message_at if after else None,
        after.conversation_id if after else None,
        only,
        limit,
        UNREAD_CAP,
        SHOWN_PARTICIPANTS,
        archived,
    )
    if not rows:
        return []
    employees = {item["id"]: to_employee(item) for item in rows[0]["employees"] or ()}
    return [_to_conversation(row, employees) for row in rows]


def _to_conversation(row: Any, employees: Mapping[int, Employee]) -> Conversation:
    return Conversation(
        id=row["id"],
        kind=row["conversation_kind"],
        title=row["title"],
        avatar_url=row["avatar_url"],
        closed_at=row["closed_at"],
        history=row["history"],
        participants=[
            Participant(
                employee=employees[seat.employee_id],
                role=seat.role,
                last_read_seq=seat.last_read_seq,
            )
            for seat in parse_participants(row["people"])
            if seat.employee_id in employees
        ],
        participant_count=row["participant_count"],
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
    """Make preferences of a row of participants with a column `archived`."""
    return Mine(
        archived=row["archived"],
        pinned_at=row["pinned_at"],
        muted_until=row["muted_until"],
        notify=row["notify"],
        manual_unread=row["manual_unread"],
        version=row["mine_version"],
    )
