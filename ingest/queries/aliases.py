"""SQL for aliases: the call that a native id belongs to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from ingest.conn import Conn

NativeId = tuple[str, str]
"""(source, native id)."""


async def find(conn: Conn, keys: Collection[NativeId]) -> dict[NativeId, UUID]:
    """Return the calls of these ids, as far as they have one.

    `unnest((SELECT $1))` hides the number of ids: if it knew of 200, PostgreSQL would read the
    whole table.
    """
    rows = await conn.fetch(
        """
        -- aliases.find
        SELECT a.source, a.key, a.call_id
          FROM unnest((SELECT $1::text[]), (SELECT $2::text[])) AS k (source, key)
          JOIN realtime.call_aliases AS a USING (source, key)
        """,
        [source for source, _ in keys],
        [key for _, key in keys],
    )
    return {(row["source"], row["key"]): row["call_id"] for row in rows}


async def add(conn: Conn, aliases: Mapping[NativeId, UUID]) -> None:
    """Add ids. The lock of their source is held, so no other process adds them meanwhile."""
    await conn.execute(
        """
        -- aliases.add
        INSERT INTO realtime.call_aliases (source, key, call_id)
        SELECT * FROM unnest((SELECT $1::text[]), (SELECT $2::text[]), (SELECT $3::uuid[]))
        """,
        [source for source, _ in aliases],
        [key for _, key in aliases],
        list(aliases.values()),
    )


async def repoint(conn: Conn, losers: Sequence[UUID], winners: Sequence[UUID]) -> None:
    """Assign the ids and events of each loser to its winner."""
    await conn.execute(
        """
        -- aliases.repoint
        WITH merged AS (SELECT * FROM unnest($1::uuid[], $2::uuid[]) AS m (loser, winner)),
        ids AS (
            UPDATE realtime.call_aliases AS a SET call_id = m.winner
              FROM merged AS m WHERE a.call_id = m.loser
        )
        UPDATE realtime.call_events AS e SET call_id = m.winner
          FROM merged AS m WHERE e.call_id = m.loser
        """,
        losers,
        winners,
    )
