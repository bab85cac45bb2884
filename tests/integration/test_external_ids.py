"""Ids of a CRM that are text: one number for each, the same in SQL and in Python, by an index."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.auth.subjects import HASHED_FROM, id_of, parse
from gateway.crm import MAX_ID, check
from gateway.db import Conn, connect
from tests.support.text_crm import install_text_crm, uuid_of

ODD = [
    "", "0", "1", "17", "017", "+17", "-1", "1.0", " 1", "1 ", "1\n", "٣", "clx0a1b2c3", "Ümlaut",
    "\\", "\\x41", "\\\\", "'", "a:b", "💡", "9007199254740991", "9007199254740992",
    "1000000000000000", "9999999999999999", "10000000000000000", "175928847299117063", "x" * 9_000,
    "4503599627370496", "6f1c6f1c-6f1c-4f1c-8f1c-6f1c6f1c6f1c",
]  # fmt: skip


async def test_both_halves_make_the_same_numbers(conn: Conn) -> None:
    """Of anything: numbers, hashes, backslashes, letters of any script."""
    texts = [*ODD, *(str(uuid.UUID(int=n * 7919**9)) for n in range(500))]
    texts += [hashlib.sha1(text.encode()).hexdigest() for text in texts]
    for kind in ("employee", "customer", "lead", "a:b", ""):
        made = await conn.fetch(
            "SELECT realtime.id_of($1, t) AS id FROM unnest($2::text[]) WITH ORDINALITY AS x (t, n)"
            " ORDER BY n",
            kind,
            texts,
        )
        assert [row["id"] for row in made] == [id_of(kind, text) for text in texts]


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])))
@settings(max_examples=200, deadline=None)
def test_an_id_stays_below_2_to_the_53(text: str) -> None:
    """And a hash is never a number that a CRM counts up to."""
    made = id_of("employee", text)

    assert 1 <= made <= MAX_ID
    assert made == int(text) if made < HASHED_FROM else not text.isdecimal() or made >= HASHED_FROM


async def test_no_id_is_no_number(conn: Conn) -> None:
    """A customer without an owner has none."""
    assert await conn.fetchval("SELECT realtime.id_of('employee', NULL)") is None


@pytest.fixture
async def text_crm(empty_database: str) -> AsyncIterator[Conn]:
    connection = await connect(empty_database, application_name="test")
    await install_text_crm(connection)
    yield connection
    await connection.close()


async def test_a_crm_with_text_ids_keeps_the_contract(text_crm: Conn) -> None:
    """Its views have numbers, and its own ids beside them."""
    assert await check(text_crm) == ({}, set())
    row = await text_crm.fetchrow("SELECT * FROM crm.employees WHERE name = 'Oksana Kovalenko'")
    assert row is not None
    assert row["external_id"] == uuid_of("user", 1)
    assert row["id"] == id_of("employee", uuid_of("user", 1))


READS = {
    "crm.employees": ("id", "User"),
    "crm.permissions": ("employee_id", "User"),
    "crm.customers": ("id", "Client"),
    "crm.customer_phones": ("customer_id", "ClientContact"),
    "crm.open_work": ("customer_id", "Deal"),
    "crm.extensions": ("employee_id", "DeskPhone"),
}


async def test_a_number_is_found_by_an_index_of_the_crm(text_crm: Conn) -> None:
    """As a constant, as an argument, and in a join; also in a transaction that may not write."""
    await text_crm.execute("SET enable_seqscan = off")
    for view, (column, table) in READS.items():
        for condition in (
            f"SELECT * FROM {view} WHERE {column} = 5000000000000000",
            f"SELECT FROM unnest('{{1,2}}'::bigint[]) AS a (asked) JOIN {view} ON {column} = asked",
        ):
            plan = "\n".join(row[0] for row in await text_crm.fetch(f"EXPLAIN {condition}"))
            assert f'Seq Scan on "{table}"' not in plan, plan
            assert "Index Cond" in plan, plan
    async with text_crm.transaction(readonly=True):
        assert await text_crm.fetchval("SELECT count(*) FROM crm.open_work") > 100


async def test_two_ids_with_one_number_are_named(text_crm: Conn) -> None:
    """Nobody can sign in until the CRM gives one of them another number."""
    first, second = uuid_of("user", 1), uuid_of("user", 2)
    view = await text_crm.fetchval("SELECT pg_get_viewdef('crm.employees')")
    shared = f"""CASE WHEN u.id = '{second}' THEN realtime.id_of('employee', '{first}')
                      ELSE realtime.id_of('employee', u.id) END AS id,
                 u."fullName" AS name"""
    rest = view.partition('"fullName" AS name')[2]
    await text_crm.execute(f"CREATE OR REPLACE VIEW crm.employees AS SELECT {shared}{rest}")

    faults, _ = await check(text_crm)

    assert faults.keys() == {"employees"}
    assert faults["employees"].off
    assert first in faults["employees"].what
    assert second in faults["employees"].what

    apart = shared.replace(f"realtime.id_of('employee', '{first}')", "7")
    await text_crm.execute(f"CREATE OR REPLACE VIEW crm.employees AS SELECT {apart}{rest}")
    assert await check(text_crm) == ({}, set())


@pytest.mark.parametrize(
    ("text", "is_id"),
    [
        *(
            (one, True)
            for one in ("1", "17", "clx0a1b2c3", "a@b.example", "DEAL-7", "1-2", "12e5f")
        ),
        *((one, True) for one in ("507117721212345678901234", "12345678901234567890e123")),
        ("00000000-0000-4000-8000-000000000001", True),
        ("9007199254740992", True),
        *((one, False) for one in ("", "0", "-1", "+1", "007", "1.0", "1e3", "1E-3", " 1", "1 ")),
        *((one, False) for one in ("a b", "a\0", "a\n", "\u0663", "\u00fc", "x" * 256, "9" * 19)),
    ],
)
def test_what_may_be_an_id_in_tokens_and_filters(text: str, is_id: bool) -> None:
    """Numbers as the CRM counts, and texts that nobody reads as another number."""
    try:
        parse("employee", text)
    except ValueError:
        assert not is_id
    else:
        assert is_id
