"""SQL for who may no longer be connected: dismissed employees, and revoked tokens."""

from __future__ import annotations

from datetime import datetime

from gateway.db import Conn

OVERLAP_S = 60
"""A row is dated when its transaction began, and may be committed later."""


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


async def revoked_since(conn: Conn, since: datetime | None) -> tuple[set[str], datetime]:
    """Return the tokens revoked since then, and from when to look the next time."""
    rows = await conn.fetch(
        """
        -- standing.revoked_since
        SELECT token_id, now() - make_interval(secs => $2) AS next
          FROM (SELECT) AS one
          LEFT JOIN realtime.revoked_tokens AS r
            ON $1::timestamptz IS NULL OR r.revoked_at >= $1
        """,
        since,
        OVERLAP_S,
    )
    return {row["token_id"] for row in rows if row["token_id"]}, rows[0]["next"]


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
    """Delete the rows of tokens that have expired, if it is known when; a day allows for clocks."""
    await conn.execute(
        """
        -- standing.forget
        DELETE FROM realtime.revoked_tokens WHERE expires_at < now() - interval '1 day'
        """
    )
