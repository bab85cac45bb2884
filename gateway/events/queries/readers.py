"""SQL that asks the CRM who may read its topics: one function per statement."""

from __future__ import annotations

from gateway.db import Conn


async def readable(conn: Conn, *, topics: list[str], employee_ids: list[int]) -> list[int]:
    """Return the places of those topics that the employee at the same place may read."""
    rows = await conn.fetch(
        """
        -- readers.readable
        SELECT w.place - 1 AS place
          FROM unnest((SELECT $1::text[]), (SELECT $2::bigint[]))
               WITH ORDINALITY AS w (topic, employee_id, place)
         WHERE EXISTS (SELECT FROM crm.topic_readers AS r
                        WHERE r.topic = w.topic AND r.employee_id = w.employee_id)
        """,
        topics,
        employee_ids,
    )
    return [row["place"] for row in rows]
