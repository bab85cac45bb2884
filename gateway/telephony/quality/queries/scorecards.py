"""SQL for scorecards: one function for each statement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from gateway.audit.act import Act
from gateway.audit.queries.audit import AUDITED
from gateway.db import Conn
from gateway.protocol.reviews import Criterion, Scorecard


def to_scorecard(row: Any) -> Scorecard:
    """Return the scorecard of a row of the table."""
    return Scorecard(
        scorecard_id=row["id"],
        name=row["name"],
        version=row["version"],
        criteria=[Criterion(**one) for one in row["criteria"]],
        active=row["active"],
        created_by=row["created_by"],
        created_at=row["created_at"],
    )


async def lock_name(conn: Conn, name: str) -> None:
    """Let nobody else edit the scorecard of this name until the end of the transaction."""
    await conn.execute(
        """
        -- scorecards.lock_name
        SELECT pg_advisory_xact_lock(hashtextextended('scorecard:' || $1::text, 0))
        """,
        name,
    )


async def newest(conn: Conn, name: str) -> Scorecard | None:
    """Return the newest version of a scorecard."""
    row = await conn.fetchrow(
        """
        -- scorecards.newest
        SELECT * FROM realtime.scorecards WHERE name = $1 ORDER BY version DESC LIMIT 1
        """,
        name,
    )
    return to_scorecard(row) if row else None


async def insert(
    conn: Conn, name: str, *, criteria: Sequence[Criterion], by: int, audit: Act
) -> Scorecard:
    """Store the next version, and deactivate the older ones of this name."""
    row = await conn.fetchrow(
        f"""
        -- scorecards.insert
        WITH older AS (
            UPDATE realtime.scorecards SET active = false WHERE name = $2 AND active
        ), made AS (
            INSERT INTO realtime.scorecards (name, version, criteria, created_by)
            SELECT $2, 1 + coalesce(max(version), 0), $3, $4
              FROM realtime.scorecards WHERE name = $2
            RETURNING *
        ), changed AS (
            SELECT jsonb_build_object('scorecard_id', id, 'version', version) AS facts FROM made
        ), {AUDITED}
        SELECT * FROM made
        """,  # noqa: S608 - a part of several statements
        audit.rows(),
        name,
        [
            {"key": one.key, "label": one.label, "weight": one.weight, "max": one.max}
            for one in criteria
        ],
        by,
    )
    return to_scorecard(row)


async def activate(conn: Conn, scorecard_id: int, *, active: bool, audit: Act) -> Scorecard | None:
    """Set whether a scorecard is active; None when there is none."""
    row = await conn.fetchrow(
        f"""
        -- scorecards.activate
        WITH made AS (
            UPDATE realtime.scorecards SET active = $3 WHERE id = $2 RETURNING *
        ), changed AS (
            SELECT '{{}}'::jsonb AS facts FROM made
        ), {AUDITED}
        SELECT * FROM made
        """,  # noqa: S608 - a part of several statements
        audit.rows(),
        scorecard_id,
        active,
    )
    return to_scorecard(row) if row else None


async def find(conn: Conn, scorecard_id: int) -> Scorecard | None:
    row = await conn.fetchrow(
        """
        -- scorecards.find
        SELECT * FROM realtime.scorecards WHERE id = $1
        """,
        scorecard_id,
    )
    return to_scorecard(row) if row else None


async def page(
    conn: Conn, *, active: bool | None, after: tuple[datetime, int] | None, limit: int
) -> list[Scorecard]:
    """Return scorecards, the newest first."""
    rows = await conn.fetch(
        """
        -- scorecards.page
        SELECT * FROM realtime.scorecards
         WHERE ($1::boolean IS NULL OR active = $1)
           AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::bigint))
         ORDER BY created_at DESC, id DESC
         LIMIT $4
        """,
        active,
        after[0] if after else None,
        after[1] if after else None,
        limit,
    )
    return [to_scorecard(row) for row in rows]
