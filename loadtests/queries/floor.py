"""SQL for the floor: the smallest transaction that stores a message."""

from __future__ import annotations

from uuid import UUID

import asyncpg


async def make_table(conn: asyncpg.Connection[asyncpg.Record]) -> None:
    await conn.execute(
        """
        -- floor.make_table
        CREATE TABLE IF NOT EXISTS public.loadtest_floor (
            id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            client_key uuid NOT NULL,
            body       text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )


async def insert(conn: asyncpg.Connection[asyncpg.Record], *, client_key: UUID, text: str) -> int:
    """Store a message without any of the gateway's promises; return its id."""
    row = await conn.fetchrow(
        """
        -- floor.insert
        INSERT INTO public.loadtest_floor (client_key, body) VALUES ($1, $2) RETURNING id
        """,
        client_key,
        text,
    )
    assert row is not None
    number: int = row["id"]
    return number
