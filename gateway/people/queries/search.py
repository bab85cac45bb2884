"""SQL for searching employees."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.auth.queries.employees import to_employee
from gateway.db import Conn
from gateway.protocol import Employee


@dataclass(frozen=True, slots=True)
class EmployeePosition:
    """An employee's position in the order of the search."""

    rank: int
    named: str
    id: int


async def employees(
    conn: Conn, text: str, *, after: EmployeePosition | None, limit: int
) -> list[tuple[EmployeePosition, Employee]]:
    """Return active employees with every word of text, those whose name begins with it first.

    Words are normalised as for messages. A text without any word finds nobody, an empty text
    everybody.
    """
    rows = await conn.fetch(
        """
        -- search.employees
        WITH asked AS MATERIALIZED (
            SELECT said, string_to_array(said, ' ') AS words
              FROM (SELECT realtime.search_words($1) AS said) AS folded
        ), people AS MATERIALIZED (
            SELECT e.id, e.name, e.department, e.position, e.avatar_url,
                   realtime.search_words(e.name) COLLATE "C" AS named,
                   realtime.search_words(concat_ws(' ', e.position, e.department)) AS work
              FROM crm.employees AS e
             WHERE e.active
        ), ranked AS (
            SELECT p.*,
                   CASE WHEN starts_with(p.named, asked.said) THEN 0
                        WHEN NOT EXISTS (SELECT FROM unnest(asked.words) AS word
                                          WHERE strpos(' ' || p.named, ' ' || word) = 0) THEN 1
                        ELSE 2 END AS rank
              FROM people AS p, asked
             WHERE (asked.said <> '' OR $1 = '')
               AND NOT EXISTS (SELECT FROM unnest(asked.words) AS word
                                WHERE strpos(p.named || ' ' || p.work, word) = 0)
        )
        SELECT id, name, department, position, avatar_url, rank, named
          FROM ranked
         WHERE $2::int IS NULL OR (rank, named, id) > ($2, $3::text COLLATE "C", $4::bigint)
         ORDER BY rank, named, id
         LIMIT $5
        """,
        text,
        after.rank if after else None,
        after.named if after else None,
        after.id if after else None,
        limit,
    )
    return [
        (
            EmployeePosition(row["rank"], row["named"], row["id"]),
            to_employee(row),
        )
        for row in rows
    ]
