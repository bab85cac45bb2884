"""The functions by which the CRM opens conversations: what they refuse, and who may call them."""

from __future__ import annotations

import json
import uuid
from typing import Any

import asyncpg
import pytest

BAD_SQL = [
    ("open_conversation(NULL, '{1}')", "RT004", "title"),
    ("open_conversation('', '{1}')", "RT004", "title"),
    ("open_conversation(repeat('x', 201), '{1}')", "RT004", "title"),
    ("open_conversation(E'a\\nb', '{1}')", "RT004", "title"),
    ("open_conversation(U&'a\\202Eb', '{1}')", "RT004", "title"),
    ("open_conversation(U&'\\200B', '{1}')", "RT004", "title"),
    ("open_conversation('x', NULL)", "RT004", "employee_ids"),
    ("open_conversation('x', '{}')", "RT004", "employee_ids"),
    ("open_conversation('x', '{1,NULL}')", "RT004", "employee_ids"),
    ("open_conversation('x', '{0}')", "RT004", "employee_ids"),
    ("open_conversation('x', '{{1,2}}')", "RT004", "employee_ids"),
    ("open_conversation('x', '{1}', '')", "RT004", "external_key"),
    ("open_conversation('x', '{1}', repeat('k', 201))", "RT004", "external_key"),
    ("open_conversation('x', '{1}', kind => 'client')", "RT004", "kind"),
    ("open_conversation('x', '{1}', kind => NULL)", "RT004", "kind"),
    ("open_conversation('x', '{1,2}', kind => 'direct')", "RT004", "title"),
    ("open_conversation(NULL, '{1,2}', 'k', kind => 'direct')", "RT004", "external_key"),
    ("open_conversation(NULL, '{1,1}', kind => 'direct')", "RT004", "employee_ids"),
    ("open_conversation('x', '{999999}')", "RT008", None),
    ("open_conversation('x', '{1}', created_by => 999999)", "RT008", None),
    ("open_conversation('x', '{1}', created_by => 0)", "RT008", None),
    ("add_participants(NULL, '{1}')", "RT001", None),
    ("add_participants(9223372036854775807, '{1}')", "RT001", None),
    ("add_participants(1, NULL)", "RT004", "employee_ids"),
    ("remove_participants(0, '{1}')", "RT001", None),
    ("remove_participants(1, '{-1}')", "RT004", "employee_ids"),
]


@pytest.mark.parametrize(("call", "state", "hint"), BAD_SQL)
async def test_a_bad_call_is_refused(crm: Any, call: str, state: str, hint: str | None) -> None:
    """With the states that the CRM's developers know from the other functions."""
    with pytest.raises(asyncpg.PostgresError) as found:
        await crm.fetch(f"SELECT * FROM realtime.{call}")

    assert (found.value.sqlstate, found.value.hint) == (state, hint)
    assert await crm.fetch("SELECT * FROM realtime.conversations") == []


async def test_the_role_of_the_crm_needs_no_table(database: str, crm: Any) -> None:
    """Only the functions, each by a grant; without one they are refused."""
    name = f"backend_{uuid.uuid4().hex[:8]}"
    await crm.execute(f"CREATE ROLE {name}; GRANT USAGE ON SCHEMA realtime TO {name}")
    calls = {
        "open_conversation": ("SELECT conversation_id FROM realtime.open_conversation"
                              "('Deal', '{1,2}', 'deal:1')"),
        "add_participants": "SELECT realtime.add_participants({room}, '{{3}}')",
        "remove_participants": "SELECT realtime.remove_participants({room}, '{{3}}')",
    }  # fmt: skip
    room = 0
    try:
        for function, call in calls.items():
            text = call if room == 0 else call.format(room=room)
            await crm.execute(f"SET ROLE {name}")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await crm.fetchval(text)
            await crm.execute(
                f"RESET ROLE; GRANT EXECUTE ON FUNCTION realtime.{function} TO {name};"
                f" SET ROLE {name}"
            )
            room = await crm.fetchval(text) if room == 0 else (await crm.fetchval(text), room)[1]
            await crm.execute("RESET ROLE")
    finally:
        await crm.execute(f"RESET ROLE; DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.mark.parametrize("said", ['{"source": "rest", "service": "crm"}', "no JSON", "", None])
async def test_the_role_of_the_crm_does_not_say_where_a_removal_came_from(
    crm: Any, said: str | None
) -> None:
    """In the audit it is of SQL; only who may write the audit itself, as nodes do, says more."""
    name = f"backend_{uuid.uuid4().hex[:8]}"
    room = await crm.fetchval(
        "SELECT conversation_id FROM realtime.open_conversation('Deal', '{1,2,3}', 'deal:1')"
    )
    await crm.execute(
        f"CREATE ROLE {name}; GRANT USAGE ON SCHEMA realtime TO {name};"
        f" GRANT EXECUTE ON FUNCTION realtime.remove_participants TO {name};"
        f" SET SESSION AUTHORIZATION {name}"
    )
    try:
        if said is not None:
            await crm.execute("SELECT set_config('realtime.audit_origin', $1, false)", said)
        await crm.fetch("SELECT realtime.remove_participants($1, '{2}')", room)
    finally:
        await crm.execute(f"RESET SESSION AUTHORIZATION; DROP OWNED BY {name}; DROP ROLE {name}")

    noted = await crm.fetchrow("SELECT source, request_id, details FROM realtime.audit")
    assert (noted["source"], noted["request_id"]) == ("sql", None)
    assert json.loads(noted["details"]) == {"employee_id": 2}


ROLES = """
    SELECT employee_id, role FROM realtime.conversation_participants
     WHERE conversation_id = $1 AND left_seq IS NULL ORDER BY employee_id
"""


@pytest.mark.parametrize(
    ("admins", "dismissed", "leaving", "heir"),
    [
        ([], [], [1], 2),  # of members, who joined together, the first
        ([3], [], [1], 3),  # an admin before a member
        ([3], [3], [1], 2),  # nobody who is dismissed, while somebody else is there
        ([], [2, 3], [1], 2),  # a dismissed one where nobody else is
        ([3], [], [1, 3], 2),  # nobody who leaves, too
        ([], [], [2], 1),  # the owner stays
        ([], [1], [2], 1),  # a dismissed owner stays until the sweep
        ([], [], [1, 2, 3], None),  # nobody is left
    ],
)
async def test_a_group_that_was_owned_has_an_owner(
    crm: Any, admins: list[int], dismissed: list[int], leaving: list[int], heir: int | None
) -> None:
    """The rule of `conversation.leave`, for any who leave at once."""
    room = await crm.fetchval(
        "SELECT conversation_id FROM realtime.open_conversation('Deal', '{1,2,3}', created_by => 1)"
    )
    await crm.execute(
        "UPDATE realtime.conversation_participants SET role = 'admin'"
        " WHERE employee_id = ANY ($1::bigint[])", admins
    )  # fmt: skip
    await crm.execute(
        "UPDATE demo_crm.staff SET dismissed_on = now() WHERE id = ANY ($1::bigint[])", dismissed
    )

    found = await crm.fetch("SELECT realtime.remove_participants($1, $2)", room, leaving)

    assert [row[0] for row in found] == leaving
    owners = [row["employee_id"] for row in await crm.fetch(ROLES, room) if row["role"] == "owner"]
    assert owners == ([heir] if heir is not None else [])
    rows = await crm.fetch(
        "SELECT change FROM realtime.messages UNION ALL"
        " SELECT change FROM realtime.conversation_participants WHERE change > 1"
    )
    last = await crm.fetchval("SELECT last_change FROM realtime.conversations")
    assert max(row["change"] for row in rows) == last
    assert len({row["change"] for row in rows}) == len(rows)


async def test_changes_have_no_gap(crm: Any) -> None:
    """Of any adding and removing, in one transaction or several: each change is of one row."""
    room = await crm.fetchval(
        "SELECT conversation_id FROM realtime.open_conversation('Deal', '{1}', 'deal:1')"
    )
    for step in ("add_participants($1, '{2,3,4}')", "remove_participants($1, '{3,2}')",
                 "add_participants($1, '{5,2,4}')", "remove_participants($1, '{1}')"):  # fmt: skip
        await crm.fetch(f"SELECT realtime.{step}", room)
        row = await crm.fetchrow(
            "SELECT c.last_change, c.last_seq,"
            " (SELECT max(change) FROM realtime.messages) AS message,"
            " (SELECT max(change) FROM realtime.conversation_participants) AS person,"
            " (SELECT count(*) FROM realtime.messages) AS messages,"
            " (SELECT max(change) FROM realtime.membership_changes) AS told"
            " FROM realtime.conversations AS c"
        )
        assert max(row["message"], row["person"]) == row["last_change"] == row["told"]
        assert row["messages"] == row["last_seq"]
    assert [row["employee_id"] for row in await crm.fetch(ROLES, room)] == [2, 4, 5]
