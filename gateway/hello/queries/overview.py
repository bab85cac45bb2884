"""SQL for the welcomes of several employees, read at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from gateway.auth.queries.employees import EmployeeRecord, to_record
from gateway.chat.queries.conversations import SHOWN_PARTICIPANTS
from gateway.crm.queries.rows import EMPLOYEES
from gateway.db import Conn
from gateway.protocol.conversations import UNREAD_CAP, History, Kind
from gateway.protocol.messages import MessageKind
from gateway.protocol.preferences import Notify


class OverviewRow(NamedTuple):
    """One conversation of one person; those beyond `detailed` without people and message."""

    employee_id: int
    place: int
    """1 is the most recently active; archived ones come after all others."""
    id: int
    kind: Kind
    title: str | None
    avatar_url: str | None
    closed_at: datetime | None
    history: History
    archived: bool
    pinned_at: datetime | None
    muted_until: datetime | None
    notify: Notify
    manual_unread: bool
    mine_version: int
    hidden_to: int
    """Messages up to this seq are not for them: they joined later."""
    last_seq: int
    last_change: int
    last_message_at: datetime
    last_read_seq: int
    version: int
    """Of the unread count."""
    unread: int
    mentions: int
    listed: int
    """How many are in `people`; one more than is shown says that there are others."""
    people: str | None
    """employee, role and read position of the first ones, as `17member40,23owner41`."""
    participant_count: int
    seq: int | None
    """Of the newest message, as is all that follows; None without one."""
    change: int
    sender_id: int | None
    client_key: UUID | None
    body: str
    created_at: datetime | None
    """None when it is last_message_at, as it mostly is: asyncpg takes 5 us to read a time."""
    message_kind: MessageKind
    attrs: dict[str, Any] | None
    reply_to_seq: int | None
    reply_count: int
    mention_ids: list[int] | None
    mention_all: bool
    reactions: list[dict[str, Any]] | None
    attachments: list[dict[str, Any]] | None
    edited_at: datetime | None


class Newcomer(NamedTuple):
    """Somebody who sends hello."""

    record: EmployeeRecord
    joined: list[int]
    """Conversations they are in, in no order, up to one more than the limit."""


async def newcomers(
    conn: Conn, employee_ids: Collection[int], token_ids: Collection[str], limit: int
) -> tuple[dict[int, Newcomer], frozenset[str]]:
    """Return these employees, without those that the CRM no longer has.

    And which of these tokens are revoked, unless there is no employee at all.
    """
    rows = await conn.fetch(
        f"""
        -- overview.newcomers
        SELECT e.*,
               ARRAY(SELECT p.permission FROM crm.permissions AS p
                      WHERE p.employee_id = e.id) AS permissions,
               ARRAY(SELECT r.token_id FROM realtime.revoked_tokens AS r
                      WHERE r.token_id = ANY ($2::text[])) AS revoked,
               ARRAY(SELECT conversation_id
                       FROM realtime.conversation_participants
                      WHERE employee_id = asked.id AND left_seq IS NULL
                      LIMIT $3::bigint + 1) AS joined
          FROM unnest((SELECT $1::bigint[])) AS asked (id)
         CROSS JOIN LATERAL (
               SELECT e.* FROM {EMPLOYEES} WHERE e.id = asked.id LIMIT 2
               ) AS e
        """,  # noqa: S608 - ours
        list(employee_ids),
        list(token_ids),
        limit,
    )
    revoked = frozenset(rows[0]["revoked"]) if rows else frozenset()
    found: dict[int, Newcomer] = {}
    for row in rows:
        record = replace(to_record(row), repeated=row["id"] in found)
        found[row["id"]] = Newcomer(record, row["joined"])
    return found, revoked


async def lines(
    conn: Conn, employee_ids: Sequence[int], *, detailed: int, limit: int
) -> list[OverviewRow]:
    """Return these people's conversations, newest first: the first `limit`, and what is unread.

    The first `detailed` of each person come with all that a list shows. One statement, so it is
    one moment in all conversations. Every condition on `mine` stands in its lateral's WHERE, where
    it is a One-Time Filter: a conversation that is read to its end costs no look at messages.
    Conversations are found one by one (LIMIT 1), not by hashing all there are. People travel as
    text: 20 x 20 of them took 0.3 ms, as jsonb with their names 9 ms.
    """
    rows = await conn.fetch(
        """
        -- overview.lines
        WITH mine AS MATERIALIZED (
            SELECT p.employee_id, c.id, c.kind, c.title, c.avatar_url, c.closed_at, c.history,
                   coalesce(c.last_seq <= p.archived_seq, false) AS archived, p.pinned_at,
                   p.muted_until, p.notify, p.manual_unread, p.mine_version,
                   c.last_seq, c.last_change, c.last_message_at, p.last_read_seq, p.read_version,
                   CASE c.history WHEN 'joined' THEN p.joined_seq ELSE 0 END AS hidden_to,
                   row_number() OVER (PARTITION BY p.employee_id
                                      ORDER BY coalesce(c.last_seq <= p.archived_seq, false),
                                               c.last_message_at DESC, c.id DESC) AS place
              FROM unnest((SELECT $1::bigint[])) AS asked (id)
              JOIN realtime.conversation_participants AS p
                ON p.employee_id = asked.id AND p.left_seq IS NULL
             CROSS JOIN LATERAL (
                   SELECT * FROM realtime.conversations WHERE id = p.conversation_id LIMIT 1
                   ) AS c
        )
        SELECT mine.employee_id, mine.place, mine.id, mine.kind, mine.title, mine.avatar_url,
               mine.closed_at, mine.history, mine.archived, mine.pinned_at, mine.muted_until,
               mine.notify, mine.manual_unread, mine.mine_version, mine.hidden_to,
               mine.last_seq, mine.last_change, mine.last_message_at, mine.last_read_seq,
               mine.last_change + mine.read_version AS version,
               behind.unread, behind.mentions, shown.listed, shown.people,
               greatest(shown.listed, counted.count) AS participant_count,
               newest.seq, newest.change, newest.sender_id, newest.client_key, newest.body,
               nullif(newest.created_at, mine.last_message_at) AS created_at,
               newest.kind AS message_kind, newest.attrs, newest.reply_to_seq, newest.reply_count,
               newest.mention_ids, newest.mention_all, newest.reactions, newest.attachments,
               newest.edited_at
          FROM mine
         CROSS JOIN realtime.unread_after(
               mine.id, mine.last_seq, mine.last_read_seq, mine.employee_id, $4
               ) AS behind
         CROSS JOIN LATERAL (
               SELECT count(*) AS listed,
                      string_agg(q.employee_id || q.role || q.last_read_seq, ',') AS people
                 FROM (SELECT employee_id, role, last_read_seq
                         FROM realtime.conversation_participants
                        WHERE mine.place <= $2 AND conversation_id = mine.id AND left_seq IS NULL
                        ORDER BY employee_id
                        LIMIT $5::bigint + 1) AS q
               ) AS shown
         CROSS JOIN LATERAL (
               SELECT count(*)
                 FROM realtime.conversation_participants
                WHERE shown.listed > $5 AND conversation_id = mine.id AND left_seq IS NULL
               ) AS counted
          LEFT JOIN LATERAL (
               SELECT m.*
                 FROM realtime.shown_messages AS m
                WHERE mine.place <= $2 AND m.conversation_id = mine.id AND m.state < 2
                  AND m.seq > mine.hidden_to
                ORDER BY m.seq DESC
                LIMIT 1
               ) AS newest ON true
         WHERE mine.place <= $3 OR behind.unread > 0
         ORDER BY mine.employee_id, mine.place
        """,
        employee_ids,
        detailed,
        limit,
        UNREAD_CAP,
        SHOWN_PARTICIPANTS,
    )
    return [OverviewRow._make(row) for row in rows]
