"""SQL for what attackers make use of: long messages, and many queues with agents."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg


async def write_long_messages(
    conn: asyncpg.Connection[asyncpg.Record],
    conversation_id: int,
    sender_id: int,
    texts: Sequence[str],
) -> None:
    """Send these texts to a conversation that is empty."""
    await conn.execute(
        """
        -- attacks.write_long_messages
        SELECT realtime.send_message($1, $2, given.body, gen_random_uuid())
          FROM unnest($3::text[]) AS given (body)
        """,
        conversation_id,
        sender_id,
        texts,
    )


async def log_agents_in(
    conn: asyncpg.Connection[asyncpg.Record], *, agents: int, queues_each: int, queues: int
) -> None:
    """Log these telephones in to queues `queue 000` …, as a PBX would have reported it."""
    await conn.execute(
        """
        -- attacks.log_agents_in
        INSERT INTO realtime.agent_marks (source, extension, queue, logged_in, login_at, paused)
        SELECT 'main', (5000 + a)::text, 'queue ' || lpad(((a * 7 + q) % $3)::text, 3, '0'),
               true, now(), false
          FROM generate_series(1, $1::int) AS a, generate_series(1, $2::int) AS q
        """,
        agents,
        queues_each,
        queues,
    )
