"""SQL for searching employees."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.auth.queries.employees import to_employee
from gateway.crm.queries.rows import EMPLOYEES
from gateway.db import Conn
from gateway.protocol import Employee


@dataclass(frozen=True, slots=True)
class EmployeePosition:
    """An employee's position in the order of the search."""

    rank: int
    named: str
    id: int


@dataclass(frozen=True, slots=True)
class FoundEmployees:
    """Employees in the order of the search."""

    employees: list[tuple[EmployeePosition, Employee]]
    unkept: int
    """Active employees whose words are not kept as the CRM has them now."""


async def employees(
    conn: Conn, text: str, *, after: EmployeePosition | None, limit: int
) -> FoundEmployees:
    """Return active employees with every word of text, those whose name begins with it first.

    Words are normalised as for messages. A text without any word finds nobody, an empty text
    everybody. Words that are kept are read, others made.
    """
    rows = await conn.fetch(
        f"""
        -- search.employees
        WITH asked AS MATERIALIZED (
            -- Words are letters and digits: nothing in them is a pattern.
            SELECT said,
                   ARRAY(SELECT '%' || word || '%' FROM string_to_table(said, ' ') AS word
                          WHERE said <> '') AS anywhere,
                   ARRAY(SELECT '% ' || word || '%' FROM string_to_table(said, ' ') AS word
                          WHERE said <> '') AS beginnings
              FROM (SELECT realtime.search_words($1) AS said) AS of_text
        ), people AS MATERIALIZED (
            SELECT e.id, e.name, e.department, e.position, e.avatar_url, e.external_id, e.url,
                   coalesce(k.name_words, realtime.search_words(e.name)) COLLATE "C" AS named,
                   coalesce(k.work_words, realtime.search_words(e.job)) AS work,
                   k.employee_id IS NULL AND e.name IS NOT NULL AS unkept
              FROM (SELECT e.*, concat_ws(' ', e.position, e.department) AS job
                      FROM {EMPLOYEES}
                     WHERE e.active) AS e
              LEFT JOIN realtime.employee_words AS k
                ON k.employee_id = e.id AND k.name = e.name AND k.work = e.job
        ), ranked AS (
            SELECT p.*,
                   CASE WHEN starts_with(p.named, asked.said) THEN 0
                        WHEN ' ' || p.named LIKE ALL (asked.beginnings) THEN 1
                        ELSE 2 END AS rank
              FROM people AS p, asked
             WHERE (asked.said <> '' OR $1 = '')
               AND p.named || ' ' || p.work LIKE ALL (asked.anywhere)
        ), page AS (
            SELECT id, name, department, position, avatar_url, external_id, url, rank, named
              FROM ranked
             WHERE $2::int IS NULL OR (rank, named, id) > ($2, $3::text COLLATE "C", $4::bigint)
             ORDER BY rank, named, id
             LIMIT $5
        )
        SELECT page.*, counted.unkept
          FROM (SELECT count(*) FILTER (WHERE unkept) AS unkept FROM people) AS counted
          LEFT JOIN page ON true
         ORDER BY rank, named, id
        """,  # noqa: S608 - ours
        text,
        after.rank if after else None,
        after.named if after else None,
        after.id if after else None,
        limit,
    )
    found = [
        (EmployeePosition(row["rank"], row["named"], row["id"]), to_employee(row))
        for row in rows
        if row["id"] is not None
    ]
    return FoundEmployees(found, rows[0]["unkept"])
