"""Columns that a view of the CRM may lack are read where they are, and cost nothing where not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.auth.queries import employees
from gateway.db import Conn, connect
from gateway.telephony.calls.queries import lookup

IVAN = "+380671234567"
WITHOUT = """
CREATE VIEW crm.customers AS
SELECT id, first_name || ' ' || last_name AS name, company, manager_id AS owner_id
  FROM demo_crm.clients
"""
WITH_URL = WITHOUT.replace("owner_id", "owner_id, 'https://crm.example.com/' || id AS url")
WITH_BOTH = WITH_URL.replace(" AS url", " AS url, md5(id::text)::uuid AS external_id")


@pytest.fixture
async def crm(database: str) -> AsyncIterator[Conn]:
    connection = await connect(database, application_name="test")
    yield connection
    await connection.close()


async def test_a_prepared_statement_follows_the_view(crm: Conn) -> None:
    """One connection, one statement: a column comes, another one, and both go again."""
    for view, url, external_id in (
        (WITHOUT, None, None),
        (WITH_URL, "https://crm.example.com/1", None),
        (WITH_BOTH, "https://crm.example.com/1", "c4ca4238-a0b9-2382-0dcc-509a6f75849b"),
        (WITHOUT, None, None),
    ):
        await crm.execute("DROP VIEW crm.customers")
        await crm.execute(view)
        for _ in range(7):  # also the plan that is kept from the sixth time on
            customer = (await lookup.customers(crm, [IVAN]))[IVAN].customer
            assert (customer.name, customer.url) == ("Ivan Petrenko", url)
            assert customer.external_id == external_id
            assert await lookup.customers_by_id(crm, [1]) == {1: customer}


async def test_a_replaced_view_of_employees_is_read_anew(crm: Conn) -> None:
    """The same for who signs in."""
    before = await employees.find(crm, 1)
    definition = await crm.fetchval("SELECT pg_get_viewdef('crm.employees')")
    await crm.execute("DROP VIEW crm.employees")
    await crm.execute(
        f"CREATE VIEW crm.employees AS SELECT e.*, 'https://crm.example.com/' || id AS url"
        f" FROM ({definition.rstrip(';')}) AS e"
    )

    after = await employees.find(crm, 1)

    assert before is not None
    assert after is not None
    assert (before.employee.url, after.employee.url) == (None, "https://crm.example.com/1")


async def test_a_missing_column_leaves_the_plan_as_it_is(crm: Conn) -> None:
    """A customer is found by the index of the CRM, with and without the columns."""
    await crm.execute("SET enable_seqscan = off")
    for view in (WITHOUT, WITH_BOTH):
        await crm.execute("DROP VIEW crm.customers")
        await crm.execute(view)
        plan = await crm.fetch(
            """
            EXPLAIN SELECT c.id, c.url
              FROM (VALUES (NULL::text)) AS absent (url)
             CROSS JOIN LATERAL (SELECT c.id, url::text AS url FROM crm.customers AS c) AS c
             WHERE c.id = 7
            """
        )
        assert "Index Cond: (id = 7)" in "\n".join(row[0] for row in plan)
