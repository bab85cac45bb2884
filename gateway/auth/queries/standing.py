"""SQL for who may no longer do what they may: the dismissed, revoked tokens, other permissions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.db import Conn

OVERLAP_S = 60
"""A row is dated when its transaction began, and may be committed later."""
MEMBERSHIPS_S = 10
"""The same for who joined and left: what is committed later, the reconciler finds."""
MAX_MEMBERSHIPS = 1_000


async def inactive(conn: Conn, employee_ids: str) -> set[int]:
    """Return those who are not active in the CRM, of ids as bigints() encodes them."""
    rows = await conn.fetch(
        """
        -- standing.inactive
        SELECT asked.id
          FROM unnest($1::text::bigint[]) AS asked (id)
         WHERE NOT EXISTS (SELECT FROM crm.employees AS e WHERE e.id = asked.id AND e.active)
        """,
        employee_ids,
    )
    return {row["id"] for row in rows}


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """Employees who were added to a conversation, or removed, by a function in SQL."""

    id: int
    conversation_id: int
    change: int
    """The conversation's last change when that was done."""
    joined: list[int]
    removed: list[int]


@dataclass(frozen=True, slots=True)
class News:
    """What was revoked and what the CRM said to have changed."""

    revoked: set[str]
    """Ids of tokens."""
    changed: dict[int, list[int] | None]
    """Number of a change → the employees whom it concerns, None: all."""
    memberships: list[MembershipChange]
    """In the order in which they were made; some come again, also those that were applied."""
    services_version: int
    """Differs when a service account or a key of one was changed."""
    next: datetime
    """From when to look the next time; some changes then come again."""


async def news_since(conn: Conn, since: datetime | None) -> News:
    """Return what is new since then; of revoked tokens all, if since is None."""
    rows = await conn.fetch(
        """
        -- standing.news_since
        SELECT NULL::text AS token_id, NULL::bigint AS change, NULL::bigint[] AS employee_ids,
               now() - make_interval(secs => $2) AS next,
               (SELECT sum(a.version)::bigint FROM realtime.service_accounts AS a) AS services,
               NULL::bigint AS membership, NULL::bigint AS conversation_id,
               NULL::bigint[] AS removed
         UNION ALL
        SELECT r.token_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL
          FROM realtime.revoked_tokens AS r
         WHERE $1::timestamptz IS NULL OR r.revoked_at >= $1
         UNION ALL
        SELECT NULL, c.id, c.employee_ids, NULL, NULL, NULL, NULL, NULL
          FROM realtime.permission_changes AS c
         WHERE c.changed_at >= coalesce($1, now() - make_interval(secs => $2))
         UNION ALL
        (SELECT NULL, m.change, m.joined, NULL, NULL, m.id, m.conversation_id, m.removed
           FROM realtime.membership_changes AS m
          WHERE m.changed_at >= now() - make_interval(secs => $3)
          ORDER BY m.changed_at DESC
          LIMIT $4)
        """,
        since,
        OVERLAP_S,
        MEMBERSHIPS_S,
        MAX_MEMBERSHIPS,
    )
    memberships = [
        MembershipChange(
            row["membership"],
            row["conversation_id"],
            row["change"],
            row["employee_ids"],
            row["removed"],
        )
        for row in rows
        if row["membership"] is not None
    ]
    own = next(row for row in rows if row["next"] is not None)
    return News(
        {row["token_id"] for row in rows if row["token_id"] is not None},
        {
            row["change"]: row["employee_ids"]
            for row in rows
            if row["change"] is not None and row["membership"] is None
        },
        sorted(memberships, key=lambda one: one.id),
        own["services"] or 0,
        own["next"],
    )


async def is_revoked(conn: Conn, token_id: str) -> bool:
    """Whether this token was revoked."""
    found: bool = await conn.fetchval(
        """
        -- standing.is_revoked
        SELECT EXISTS (SELECT FROM realtime.revoked_tokens WHERE token_id = $1)
        """,
        token_id,
    )
    return found


async def revoke(conn: Conn, token_id: str, expires_at: datetime | None) -> bool:
    """Revoke a token; False when it was revoked before."""
    status: str = await conn.execute(
        """
        -- standing.revoke
        INSERT INTO realtime.revoked_tokens (token_id, expires_at)
        VALUES ($1, $2) ON CONFLICT DO NOTHING
        """,
        token_id,
        expires_at,
    )
    return status.endswith(" 1")


async def forget(conn: Conn) -> None:
    """Delete the rows of tokens that have expired, and changes that every node has read.

    Of a token whose end is not known the row stays; a day allows for clocks.
    """
    await conn.execute(
        """
        -- standing.forget
          WITH expired AS (
               DELETE FROM realtime.revoked_tokens WHERE expires_at < now() - interval '1 day'
               ), joined AS (
               DELETE FROM realtime.membership_changes WHERE changed_at < now() - interval '1 hour'
               )
        DELETE FROM realtime.permission_changes WHERE changed_at < now() - interval '1 hour'
        """
    )
