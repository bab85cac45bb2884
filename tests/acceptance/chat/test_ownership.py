"""A group whose owner is dismissed in the CRM goes on: somebody else owns it."""

from __future__ import annotations

import asyncio

from gateway.chat import ownership
from gateway.client import Connection
from gateway.protocol import (
    ConversationLeave,
    ConversationSetRole,
    ConversationUpdate,
    MessageCreated,
    ParticipantChanged,
)
from tests.acceptance.chat.test_members import make_group
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, eventually, refused

DISMISS = "UPDATE demo_crm.staff SET dismissed_on = current_date - 1 WHERE id = ANY ($1::bigint[])"


async def roles(desk: Desk, asker: int, group: int) -> dict[int, str]:
    answer = await desk.http(asker).get(f"/v1/messenger/conversations/{group}/participants")
    return {one["employee"]["id"]: one["role"] for one in answer.json()["participants"]}


async def rename(client: Connection, group: int) -> None:
    await client.request(ConversationUpdate(conversation_id=group, title="renamed"))


async def test_the_longest_standing_admin_or_member_follows(desk: Desk) -> None:
    """Everybody hears of it, once, with the numbers of a change; the new owner may rename it."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    group = await make_group(oksana, PETRO, IRYNA)
    await oksana.request(
        ConversationSetRole(conversation_id=group, employee_id=IRYNA, role="admin")
    )
    await petro.next(MessageCreated)
    await desk.sql(DISMISS, [OKSANA])

    async def given() -> bool:
        return (await roles(desk, PETRO, group)).get(IRYNA) == "owner"

    await eventually(given)
    while (event := await petro.next(ParticipantChanged)).participant.role != "owner":
        pass
    while (message := (await petro.next(MessageCreated)).message).attrs != {
        "event": "role_changed", "by": OKSANA, "employee_ids": [IRYNA], "role": "owner",
    }:  # fmt: skip
        pass
    assert (event.conversation_id, message.change) == (group, event.change + 1)
    assert (await roles(desk, PETRO, group))[PETRO] == "member"
    await rename(await desk.client(IRYNA), group)
    audited = await desk.sql("SELECT actor_id, details FROM realtime.audit WHERE actor_id IS NULL")
    assert len(audited) == 1


async def test_a_group_is_given_once(desk: Desk) -> None:
    """Two workers look at the same time; afterwards nobody finds anything to give."""
    oksana = await desk.client(OKSANA)
    groups = [await make_group(oksana, PETRO, IRYNA) for _ in range(5)]
    first, second = [node.node.services for node in desk.nodes]
    await desk.sql(DISMISS, [OKSANA])

    await asyncio.gather(ownership.sweep(first), ownership.sweep(second))

    for group in groups:
        assert sorted((await roles(desk, PETRO, group)).values()).count("owner") == 2
    assert await ownership.sweep(first) == 0
    told = await desk.sql(
        "SELECT conversation_id FROM realtime.messages WHERE attrs ->> 'event' = 'role_changed'"
    )
    assert sorted(row["conversation_id"] for row in told) == sorted(groups)


async def test_only_groups_without_an_owner_are_given(desk: Desk) -> None:
    """Not one with another owner, not one in which nobody is left, no direct conversation."""
    oksana = await desk.client(OKSANA)
    shared, alone = [await make_group(oksana, PETRO, IRYNA) for _ in range(2)]
    await oksana.request(
        ConversationSetRole(conversation_id=shared, employee_id=PETRO, role="owner")
    )
    for person in (PETRO, IRYNA):
        client = await desk.client(person)
        await client.request(ConversationLeave(conversation_id=alone))
    await oksana.open(PETRO)
    services = desk.nodes[0].node.services
    await desk.sql(DISMISS, [OKSANA])

    assert await ownership.sweep(services) == 0
    assert (await roles(desk, PETRO, shared))[IRYNA] == "member"


async def test_a_dismissed_owner_is_no_owner_for_others(desk: Desk) -> None:
    """The last active owner cannot be demoted, and who leaves is followed by somebody active."""
    petro = await desk.client(PETRO)
    group = await make_group(petro, OKSANA, IRYNA)
    await petro.request(
        ConversationSetRole(conversation_id=group, employee_id=OKSANA, role="owner")
    )
    await desk.sql(DISMISS, [OKSANA])

    demote = ConversationSetRole(conversation_id=group, employee_id=PETRO, role="member")
    assert await refused(petro.request(demote)) == "conversation.last_owner"
    await petro.request(ConversationLeave(conversation_id=group))

    assert (await roles(desk, IRYNA, group))[IRYNA] == "owner"
