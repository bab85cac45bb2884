"""realtime.audit_event(): the CRM's own acts, in its own transactions."""

from __future__ import annotations

import re
from typing import Any

import asyncpg
import pytest

from gateway.auth.subjects import EXTERNAL, id_of


async def noted(conn: Any) -> list[tuple[Any, ...]]:
    rows = await conn.fetch(
        "SELECT actor_id, act, subject, details, source FROM realtime.audit ORDER BY id"
    )
    return [tuple(row) for row in rows]


async def test_an_act_of_the_crm_is_a_row_of_its_transaction(conn: Any) -> None:
    """With it committed, with it rolled back."""
    said = "SELECT realtime.audit_event(17, 'deal.win', 'deal:9', '{\"amount\": 5}')"
    transaction = conn.transaction()
    await transaction.start()
    await conn.execute(said)
    await transaction.rollback()
    assert await noted(conn) == []

    await conn.execute(said)

    assert await noted(conn) == [(17, "deal.win", "deal:9", {"amount": 5}, "sql")]


@pytest.mark.parametrize("actor", [
    "17", "17::int", "17::smallint", "'17'", "'17'::text", "'17'::varchar",
])  # fmt: skip
async def test_an_actor_is_a_number_of_any_type(conn: Any, actor: str) -> None:
    """Also as text."""
    await conn.execute(f"SELECT realtime.audit_event({actor}, 'deal.win')")

    assert await noted(conn) == [(17, "deal.win", None, {}, "sql")]


@pytest.mark.parametrize("actor", [
    "0b6c1c1e-7f5b-4b7a-9d53-8a2f5a1f0c11", "cjld2cjxh0000qzrmn831i7rn", "507f1f77bcf86cd799439011",
    "9007199254740992",
])  # fmt: skip
async def test_an_actor_is_the_crms_own_id(conn: Any, actor: str) -> None:
    """It stands for the same number as everywhere."""
    await conn.execute("SELECT realtime.audit_event($1::text, 'deal.win')", actor)

    ((number, *_),) = await noted(conn)
    assert number == id_of("employee", actor)


@pytest.mark.parametrize("actor", ["NULL", "NULL::bigint", "NULL::text"])
async def test_nobody_may_be_the_actor(conn: Any, actor: str) -> None:
    """A nightly import, for instance."""
    await conn.execute(f"SELECT realtime.audit_event({actor}, 'import.run', details => '{{}}')")

    assert await noted(conn) == [(None, "import.run", None, {}, "sql")]


@pytest.mark.parametrize(("arguments", "hint"), [
    ("0, 'deal.win'", "actor"), ("-1, 'deal.win'", "actor"),
    ("9007199254740992, 'deal.win'", "actor"), ("'', 'deal.win'", "actor"),
    ("'-1', 'deal.win'", "actor"), ("'007', 'deal.win'", "actor"), ("'1e3', 'deal.win'", "actor"),
    ("'two words', 'deal.win'", "actor"), ("E'a\\nb', 'deal.win'", "actor"),
    ("repeat('a', 256), 'deal.win'", "actor"), ("'é', 'deal.win'", "actor"),
    ("1, NULL", "act"), ("1, ''", "act"), ("1, 'win'", "act"), ("1, 'Deal.win'", "act"),
    ("1, 'a.b.c'", "act"), ("1, E'deal.win\\n'", "act"), ("1, repeat('a', 99) || '.b'", "act"),
    ("1, 'deal.win', ''", "subject"), ("1, 'deal.win', repeat('x', 201)", "subject"),
    ("1, 'deal.win', E'a\\nb'", "subject"), ("1, 'deal.win', E'a\\u2028b'", "subject"),
    ("1, 'deal.win', NULL, '[]'", "details"), ("1, 'deal.win', NULL, '5'", "details"),
    ("1, 'deal.win', NULL, 'null'", "details"),
    ("1, 'deal.win', NULL, jsonb_build_object('a', repeat('x', 8000))", "details"),
    ("1, 'deal.win', NULL, '{\"n\": [1e400]}'", "details"),
    ("1, 'deal.win', NULL, (repeat('{\"a\":', 100) || 1 || repeat('}', 100))::jsonb", "details"),
    ("'a1', 'win'", "act"), ("'a1', 'deal.win', ''", "subject"),
])  # fmt: skip
@pytest.mark.cases(99)
async def test_what_is_wrong_is_refused_by_name(conn: Any, arguments: str, hint: str) -> None:
    """RT004, and which argument."""
    with pytest.raises(asyncpg.PostgresError) as refusal:
        await conn.execute(f"SELECT realtime.audit_event({arguments})")

    assert refusal.value.sqlstate == "RT004"
    assert (refusal.value.detail, refusal.value.hint) == ("command.invalid", hint)
    assert await noted(conn) == []


@pytest.mark.parametrize("actor", [
    "-1", "+7", "007", "1.0", "1e3", "1.5E-2", "0", ".", "1" * 20, "1" * 21, "abc", "a b", "1e1234",
    "507f1f77bcf86cd799439011", "5" * 24, "~", "!", "ä",
])  # fmt: skip
@pytest.mark.cases(99)
async def test_ids_are_those_that_tokens_may_have(conn: Any, actor: str) -> None:
    """SQL and the gateway take the same texts for ids."""
    said = "SELECT realtime.audit_event($1::text, 'deal.win')"
    if EXTERNAL.fullmatch(actor) or re.fullmatch(r"[1-9][0-9]{0,18}", actor):
        await conn.execute(said, actor)
        assert len(await noted(conn)) == 1
    else:
        with pytest.raises(asyncpg.PostgresError) as refusal:
            await conn.execute(said, actor)
        assert refusal.value.sqlstate == "RT004"


async def test_only_granted_roles_may_write(conn: Any) -> None:
    """Whoever may writes in anybody's name, and needs no right on a table."""
    await conn.execute("CREATE ROLE crm_audits; GRANT USAGE ON SCHEMA realtime TO crm_audits")
    try:
        await conn.execute("SET ROLE crm_audits")
        for actor in ("1", "'a1'"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(f"SELECT realtime.audit_event({actor}, 'deal.win')")
        await conn.execute("RESET ROLE")
        await conn.execute(
            "GRANT EXECUTE ON FUNCTION realtime.audit_event(bigint, text, text, jsonb),"
            " realtime.audit_event(text, text, text, jsonb) TO crm_audits; SET ROLE crm_audits"
        )
        for actor in ("1", "'a1'"):
            await conn.execute(f"SELECT realtime.audit_event({actor}, 'deal.win')")
    finally:
        await conn.execute("RESET ROLE; DROP OWNED BY crm_audits; DROP ROLE crm_audits")
    assert len(await noted(conn)) == 2
