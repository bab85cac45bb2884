"""SQL for who is at each end of a call, through the CRM's contract views."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gateway.db import Conn
from gateway.protocol import Customer, OpenWork

SHOWN_WORK = 10


@dataclass(frozen=True, slots=True)
class Match:
    """The best customer for a number, and how many have it."""

    customer: Customer
    found: int


async def employees(
    conn: Conn, telephones: Collection[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """Return (source, extension) → employee; a mapping for one PBX goes before one for any."""
    asked = list(telephones)
    rows = await conn.fetch(
        """
        -- lookup.employees
        SELECT DISTINCT ON (asked.source, asked.extension)
               asked.source, asked.extension, x.employee_id
          FROM unnest($1::text[], $2::text[]) AS asked (source, extension)
          JOIN crm.extensions AS x
            ON x.extension = asked.extension AND x.source IN (asked.source, '*')
         ORDER BY asked.source, asked.extension, x.source = '*', x.employee_id
        """,
        [source for source, _ in asked],
        [extension for _, extension in asked],
    )
    return {(row["source"], row["extension"]): row["employee_id"] for row in rows}


async def telephones(conn: Conn, employee_id: int) -> list[tuple[str, str]]:
    """Return the (source, extension) pairs of one employee; source `*` means any PBX."""
    rows = await conn.fetch(
        """
        -- lookup.telephones
        SELECT source, extension FROM crm.extensions WHERE employee_id = $1
        """,
        employee_id,
    )
    return [(row["source"], row["extension"]) for row in rows]


async def customers(conn: Conn, numbers: Sequence[str]) -> dict[str, Match]:
    """Return E.164 number → its customer, with what the CRM has open for them.

    One number may belong to several customers: one with open work goes first, then the oldest.
    """
    rows = await conn.fetch(
        """
        -- lookup.customers
        SELECT asked.e164, best.id, best.name, best.company, best.found, work.open_work
          FROM unnest($1::text[]) AS asked (e164)
         CROSS JOIN LATERAL (
               SELECT c.id, c.name, c.company, count(*) OVER () AS found
                 FROM (SELECT DISTINCT customer_id FROM crm.customer_phones
                        WHERE e164 = asked.e164) AS p
                 JOIN crm.customers AS c ON c.id = p.customer_id
                ORDER BY EXISTS (SELECT FROM crm.open_work AS w
                                  WHERE w.customer_id = c.id) DESC, c.id
                LIMIT 1
               ) AS best
         CROSS JOIN LATERAL (
               SELECT jsonb_agg(jsonb_build_object(
                          'kind', w.kind, 'id', w.id, 'title', w.title, 'status', w.status)
                          ORDER BY w.updated_at DESC) AS open_work
                 FROM (SELECT * FROM crm.open_work AS w
                        WHERE w.customer_id = best.id
                        ORDER BY w.updated_at DESC
                        LIMIT $2) AS w
               ) AS work
        """,
        list(numbers),
        SHOWN_WORK,
    )
    return {
        row["e164"]: Match(
            Customer(
                id=row["id"],
                name=row["name"],
                company=row["company"],
                open_work=[OpenWork(**item) for item in row["open_work"] or ()],
            ),
            row["found"],
        )
        for row in rows
    }
