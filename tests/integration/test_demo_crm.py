"""The demo CRM keeps the contract that every CRM's adapter keeps."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.crm import VIEWS, check
from gateway.db import Conn, connect
from gateway.demo import install

TYPES = {"timestamptz": "timestamp with time zone"}

CONTRACT = {
    view.name: ", ".join(
        f"{one.name} {TYPES.get(one.type, one.type)}" for one in view.columns if not one.optional
    )
    for view in VIEWS
}

CONTRACT_PAGE = Path(__file__).parents[2] / "docs" / "crm-contract.md"

OTHER_CRM = """
CREATE TABLE users (id int, first_name text, last_name text, department text, title text,
                    photo text, deleted_at timestamptz, sip_extension text);
CREATE TABLE user_roles (user_id int, role_id int);
CREATE TABLE role_rights (role_id int, code text);
CREATE TABLE accounts (id int, display_name text, company_name text, responsible_id int);
CREATE TABLE account_phones (account_id int, phone text);
CREATE TABLE deals (id int, account_id int, subject text, stage text, owner_id int,
                    modified timestamp, closed_at timestamptz);
CREATE TABLE tickets (id int, account_id int, summary text, state text, engineer_id int,
                      updated_at timestamptz);
INSERT INTO account_phones VALUES (7, '(044) 123-45-67');
SET enable_seqscan = off;
"""


@pytest.fixture
async def empty(empty_database: str) -> AsyncIterator[Conn]:
    connection = await connect(empty_database, application_name="test")
    yield connection
    await connection.close()


async def test_the_views_are_those_of_the_contract(conn: Conn) -> None:
    """Names, columns, their order and their types are what an adopter is promised."""
    assert await views(conn) == CONTRACT


async def views(conn: Conn) -> dict[str, str]:
    rows = await conn.fetch(
        """
        SELECT table_name, string_agg(column_name || ' ' || data_type, ', '
                                      ORDER BY ordinal_position) AS columns
          FROM information_schema.columns WHERE table_schema = 'crm' GROUP BY table_name
        """
    )
    return {row["table_name"]: row["columns"] for row in rows}


async def test_there_are_people_to_try_it_with(conn: Conn) -> None:
    """Twenty employees, one of them dismissed, and five hundred customers."""
    assert await conn.fetchval("SELECT count(*) FROM crm.employees") == 20
    assert await conn.fetchval("SELECT count(*) FROM crm.employees WHERE NOT active") == 1
    assert await conn.fetchval("SELECT count(DISTINCT name) FROM crm.customers") == 500
    kinds = await conn.fetch("SELECT kind, count(*) FROM crm.open_work GROUP BY kind")
    assert {kind: count > 100 for kind, count in kinds} == {"lead": True, "work_order": True}


@pytest.mark.parametrize(
    ("dialled", "name"),
    [
        ("+380671234567", "Ivan Petrenko"),
        ("8 (044) 123-45-67", "Olena Shevchenko"),
        ("380441234567", "Olena Shevchenko"),
        ("+380501112233", "Serhii Bondarenko"),
        ("00380501112233", "Serhii Bondarenko"),
        ("0671112233", "Maria Kovalchuk"),
        ("+380931234567", "Andrii Tkachuk"),
    ],
)
async def test_a_caller_is_found_however_the_number_was_typed(
    conn: Conn, dialled: str, name: str
) -> None:
    """Both sides are compared as E.164."""
    found = await conn.fetch(
        """
        SELECT c.name FROM crm.customer_phones AS p JOIN crm.customers AS c ON c.id = p.customer_id
         WHERE p.e164 = demo_crm.e164($1)
        """,
        dialled,
    )

    assert [row["name"] for row in found] == [name]


@pytest.mark.parametrize(
    ("typed", "e164"),
    [
        ("+380671234567", "+380671234567"),
        ("8 (044) 123-45-67", "+380441234567"),
        ("044 123-45-67 доб. 12", "+380441234567"),
        ("+38 (0) 67 123 45 67", "+380671234567"),
        ("+44 (0)20 7946 0000", "+442079460000"),
        ("0048 22 303 21 05", "+48223032105"),
        ("101", None),
        ("anonymous", None),
        ("+", None),
        ("", None),
    ],
)
async def test_numbers_are_read_as_people_type_them(
    conn: Conn, typed: str, e164: str | None
) -> None:
    """What is no full number is NULL, never a guess."""
    assert await conn.fetchval("SELECT demo_crm.e164($1)", typed) == e164


async def test_looking_up_a_caller_reads_an_index(conn: Conn) -> None:
    """Every ring asks; a scan of all contacts would be felt at a million of them."""
    plan = await conn.fetch(
        "EXPLAIN SELECT customer_id FROM crm.customer_phones WHERE e164 = '+380671234567'"
    )

    assert any("client_contacts_e164" in row[0] for row in plan)


async def test_open_work_of_a_customer_reads_indexes(conn: Conn) -> None:
    """The screen-pop shows it with every call."""
    # So small a table is read whole, and rightly so; with a million rows it must not be.
    await conn.execute("SET enable_seqscan = off")
    plan = await conn.fetch("EXPLAIN SELECT * FROM crm.open_work WHERE customer_id = 1")

    assert not any("Seq Scan" in row[0] for row in plan)


async def test_extensions_lead_to_active_employees(conn: Conn) -> None:
    """The extensions of the recorded dialogues belong to the people named in them."""
    rows = await conn.fetch(
        """
        SELECT x.extension, split_part(e.name, ' ', 1) AS name
          FROM crm.extensions AS x JOIN crm.employees AS e ON e.id = x.employee_id AND e.active
         WHERE x.source = '*'
        """
    )

    people = {row["extension"]: row["name"] for row in rows}
    assert people["101"] == "Oksana"
    assert people["301"] == "Alice"
    assert {"102", "103", "104", "105", "201", "202", "203", "204", "302", "303", "304"} < {*people}


async def test_nobody_dismissed_has_a_permission(conn: Conn) -> None:
    """Roles differ: agents may not see everyone's calls, heads may."""
    rows = await conn.fetch(
        """
        SELECT position, active,
               coalesce(bool_or(permission = 'calls.view_all'), false) AS all_calls
          FROM crm.employees LEFT JOIN crm.permissions ON employee_id = id
         GROUP BY id, position, active
        """
    )

    assert {row["all_calls"] for row in rows if row["position"] == "Sales agent"} == {False}
    assert {row["all_calls"] for row in rows if row["position"].startswith("Head")} == {True}
    assert not any(row["all_calls"] for row in rows if not row["active"])
    assert await conn.fetchval("SELECT count(*) FROM crm.permissions WHERE employee_id = 20") == 0


async def test_it_is_installed_once_and_quickly(empty: Conn) -> None:
    """A second installation changes nothing; the first takes a moment."""
    started = time.perf_counter()
    assert await install(empty) is True
    took_s = time.perf_counter() - started
    assert await install(empty) is True

    assert await empty.fetchval("SELECT count(*) FROM crm.employees") == 20
    assert took_s < 3  # 0.1 s on an idle laptop


async def test_several_processes_may_install_at_once(empty_database: str) -> None:
    """Workers that start together take turns."""
    connections = [await connect(empty_database, application_name="test") for _ in range(4)]

    installed = await asyncio.gather(*(install(conn) for conn in connections))
    count = await connections[0].fetchval("SELECT count(*) FROM crm.employees")
    for connection in connections:
        await connection.close()

    assert installed == [True] * 4
    assert count == 20


@pytest.mark.parametrize("schema", ["crm", "demo_crm"])
async def test_a_real_crm_is_left_alone(empty: Conn, schema: str) -> None:
    """A schema that is not the demo's is somebody's: nothing is made beside it."""
    await empty.execute(f"CREATE SCHEMA {schema}")

    assert await install(empty) is False

    schemas = await empty.fetchval(
        "SELECT count(*) FROM pg_namespace WHERE nspname IN ('crm', 'demo_crm')"
    )
    tables = await empty.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = $1", schema)
    assert (schemas, tables) == (1, 0)


async def test_two_installations_hold_the_same_data(conn: Conn, empty: Conn) -> None:
    """Nothing is random: tests and screenshots agree."""
    await install(empty)

    for view, columns in CONTRACT.items():
        # Times are relative to the installation.
        names = [column.split()[0] for column in columns.split(", ") if "timestamp" not in column]
        sql = f"SELECT {', '.join(names)} FROM crm.{view} ORDER BY {', '.join(names)}"
        assert await conn.fetch(sql) == await empty.fetch(sql)


async def test_the_adapter_in_the_documentation_works(empty: Conn) -> None:
    """Its statements run on tables of another CRM and keep the contract."""
    adapter = (
        CONTRACT_PAGE.read_text(encoding="utf-8")
        .split("## An adapter")[1]
        .split("```sql\n")[1]
        .split("```")[0]
    )
    await empty.execute(OTHER_CRM)

    for statement in re.split(r"(?<=;)\n\n", adapter):
        # One by one: CREATE INDEX CONCURRENTLY wants to be alone.
        await empty.execute(statement.replace("TO gateway;", "TO CURRENT_USER;"))

    required = {view.name: CONTRACT[view.name] for view in VIEWS if view.required}
    assert await views(empty) == required
    assert await check(empty) == ({}, set())
    plan = await empty.fetch(
        "EXPLAIN SELECT * FROM crm.customer_phones WHERE e164 = '+380441234567'"
    )
    assert any("account_phones_e164" in row[0] for row in plan)
    assert await empty.fetchval("SELECT e164 FROM crm.customer_phones") == "+380441234567"
