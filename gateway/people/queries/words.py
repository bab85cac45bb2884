"""SQL for keeping the search words of employees."""

from __future__ import annotations

from gateway.db import Conn

LOCK = 5_311_094_460_734_912_871
"""A number that nothing else uses; advisory locks are per database."""


async def try_lock(conn: Conn) -> bool:
    """Lock the words until this transaction ends; False when another one has locked them."""
    return bool(
        await conn.fetchval(
            """
            -- words.try_lock
            SELECT pg_try_advisory_xact_lock($1)
            """,
            LOCK,
        )
    )


async def forget_gone(conn: Conn) -> None:
    """Delete the words of employees whom the CRM no longer has."""
    await conn.execute(
        """
        -- words.forget_gone
        DELETE FROM realtime.employee_words AS k
         WHERE NOT EXISTS (SELECT FROM crm.employees AS e WHERE e.id = k.employee_id)
        """
    )


async def keep(conn: Conn, *, after: int, limit: int) -> list[int]:
    """Make and keep the words of the next active employees whose words are not kept.

    Returns their ids, which are greater than `after`.
    """
    rows = await conn.fetch(
        """
        -- words.keep
        WITH missing AS MATERIALIZED (
            SELECT e.id, e.name, e.job
              FROM (SELECT *, concat_ws(' ', position, department) AS job
                      FROM crm.employees
                     WHERE active AND name IS NOT NULL AND id > $1) AS e
             WHERE NOT EXISTS (SELECT FROM realtime.employee_words AS o
                                WHERE o.employee_id = e.id AND o.name = e.name
                                  AND o.work = e.job)
             ORDER BY e.id
             LIMIT $2
        )
        INSERT INTO realtime.employee_words AS k
               (employee_id, name, work, name_words, work_words)
        SELECT id, name, job, realtime.search_words(name), realtime.search_words(job)
          FROM missing
            ON CONFLICT (employee_id) DO UPDATE
           SET name = excluded.name, work = excluded.work,
               name_words = excluded.name_words, work_words = excluded.work_words
        RETURNING employee_id
        """,
        after,
        limit,
    )
    return [row["employee_id"] for row in rows]
