"""SQL for two databases with the same people: one with numbers as ids, one with texts."""

from __future__ import annotations

import asyncpg


async def create_database(conn: asyncpg.Connection[asyncpg.Record], name: str) -> None:
    await conn.execute(
        f"""
        -- ids.create_database
        CREATE DATABASE {name}
        """
    )


async def fill(conn: asyncpg.Connection[asyncpg.Record], *, employees: int, customers: int) -> None:
    """Add employees, and customers with a telephone number each, to the demo CRM."""
    await conn.execute(
        f"""
        -- ids.fill
        DELETE FROM demo_crm.work_orders;  -- the other database has one kind of work, too
        INSERT INTO demo_crm.staff (id, full_name, department_id, job_title, role_id)
        SELECT 100 + n, 'Load tester ' || n, 1, 'Sales agent', 1
          FROM generate_series(1, {employees}) AS n;
        INSERT INTO demo_crm.clients (id, first_name, last_name, manager_id)
        SELECT 1000 + n, 'Client', n::text, 1 + n % 19 FROM generate_series(1, {customers}) AS n;
        INSERT INTO demo_crm.client_contacts (client_id, kind, value)
        SELECT 1000 + n, 'phone', '+38067' || 2000000 + n FROM generate_series(1, {customers}) AS n;
        INSERT INTO demo_crm.leads
        SELECT 1000 + n, 1000 + n, 'Lead ' || n, 'new', 1 + n % 19, now()
          FROM generate_series(1, {customers}, 3) AS n;
        """
    )


async def people(conn: asyncpg.Connection[asyncpg.Record], count: int) -> list[int]:
    """Return the ids of so many of the added employees, as the gateway has them."""
    rows = await conn.fetch(
        """
        -- ids.people
        SELECT id FROM crm.employees WHERE name LIKE 'Load tester %' ORDER BY name LIMIT $1
        """,
        count,
    )
    return [row["id"] for row in rows]


async def numbers(conn: asyncpg.Connection[asyncpg.Record], count: int) -> list[str]:
    """Return telephone numbers of added customers."""
    rows = await conn.fetch(
        """
        -- ids.numbers
        SELECT e164 FROM crm.customer_phones WHERE e164 LIKE '+380672%' ORDER BY e164 LIMIT $1
        """,
        count,
    )
    return [row["e164"] for row in rows]


async def analyze(conn: asyncpg.Connection[asyncpg.Record]) -> None:
    await conn.execute(
        """
        -- ids.analyze
        VACUUM ANALYZE
        """
    )
