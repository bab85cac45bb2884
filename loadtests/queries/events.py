"""SQL of the benchmark of events of the CRM: one function per statement."""

from __future__ import annotations

from gateway.db import Conn

PAYLOAD = """
{"title": "Work order 1234: replace the meter", "customer": "Olena Kovalenko", "id": 1234,
 "url": "https://crm.example.com/work-orders/1234", "due": "2026-12-02T09:00:00Z"}
"""
TYPE, USERS, TOPICS = "work_order.assigned", [17], ["crm:work_order:1234"]


async def insert(conn: Conn) -> None:
    """Store an event by a plain INSERT into the outbox."""
    await conn.fetchval(
        """
        -- events.insert
        INSERT INTO realtime.events_outbox (source, type, users, topics, payload)
        VALUES ('crm', $1, $2, $3, $4::text::jsonb)
        RETURNING id
        """,
        TYPE,
        USERS,
        TOPICS,
        PAYLOAD,
    )


async def publish(conn: Conn) -> None:
    """Store the same event by realtime.publish."""
    await conn.fetchval(
        """
        -- events.publish
        SELECT realtime.publish(type => $1, users => $2, topics => $3, payload => $4::text::jsonb)
        """,
        TYPE,
        USERS,
        TOPICS,
        PAYLOAD,
    )


async def publish_keyed(conn: Conn, key: str) -> None:
    """Store it with a key of its own."""
    await conn.fetchval(
        """
        -- events.publish_keyed
        SELECT realtime.publish(
                   type => $1, users => $2, topics => $3, payload => $4::text::jsonb, key => $5)
        """,
        TYPE,
        USERS,
        TOPICS,
        PAYLOAD,
        key,
    )


async def publish_many(conn: Conn, count: int) -> None:
    """Store so many in one transaction."""
    await conn.execute(
        """
        -- events.publish_many
        SELECT realtime.publish(type => $1, users => $2, topics => $3, payload => $4::text::jsonb)
          FROM generate_series(1, $5::int)
        """,
        TYPE,
        USERS,
        TOPICS,
        PAYLOAD,
        count,
    )


async def clear(conn: Conn) -> None:
    """Forget all events."""
    await conn.execute(
        """
        -- events.clear
        TRUNCATE realtime.events_outbox, realtime.events, realtime.event_keys
        """
    )


async def forget_times(conn: Conn) -> None:
    """Begin to count the executor's time anew."""
    await conn.execute(
        """
        -- events.forget_times
        SELECT public.pg_stat_statements_reset()
        """
    )


async def executor_us(conn: Conn, part: str) -> float:
    """Return how long the executor took for statements with this text, on average."""
    found: float = await conn.fetchval(
        """
        -- events.executor_us
        SELECT sum(total_exec_time) * 1000 / sum(calls)
          FROM public.pg_stat_statements
         WHERE position($1 IN query) > 0 AND query NOT LIKE '%pg_stat_statements%'
        """,
        part,
    )
    return found
