"""A group without an active owner in the CRM goes on: somebody else owns it."""

from __future__ import annotations

import asyncio

import pytest

from gateway.chat import ownership
from gateway.client import Connection
from gateway.context import Services
from gateway.protocol import (
    ConversationLeave,
    ConversationSetRole,
    ConversationUpdate,
    MessageCreated,
    ParticipantChanged,
)
from tests.acceptance.chat.test_members import make_group
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, eventually, refused, staff

DISMISS = "UPDATE demo_crm.staff SET dismissed_on = current_date - 1 WHERE id = ANY ($1::bigint[])"


RETURN = "UPDATE demo_crm.staff SET dismissed_on = NULL WHERE id = ANY ($1::bigint[])"
NO_OWNER = (
    "UPDATE realtime.conversation_participants SET role = 'member' WHERE conversation_id = $1"
)
GRACE_S = 600.0


@pytest.fixture
async def desk(empty_desk: Desk) -> Desk:
    """Give a desk whose nodes sweep only when the test says so."""
    for _ in range(2):
        await empty_desk.start_node(roles=("sockets",))
    return empty_desk


class Sweep:
    """The sweep of one worker, at moments that the test chooses."""

    def __init__(self, desk: Desk, services: Services) -> None:
        self._desk = desk
        self._services = services

    async def look(self, *, after_s: float = 0.0) -> int:
        await self._desk.sql(
            "UPDATE realtime.ownerless_groups SET found_at = found_at - make_interval(secs => $1)",
            after_s,
        )
        return await ownership.sweep(self._services, grace_s=GRACE_S)

    async def look_twice(self) -> int:
        """Look again when the time of grace has passed."""
        assert await self.look() == 0
        return await self.look(after_s=GRACE_S)


def sweep_of(desk: Desk, node: int = 0) -> Sweep:
    return Sweep(desk, desk.nodes[node].node.services)


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
    await desk.sql(DISMISS, staff(OKSANA))

    assert await sweep_of(desk).look_twice() == 1

    while (event := await petro.next(ParticipantChanged)).participant.role != "owner":
        pass
    while (message := (await petro.next(MessageCreated)).message).attrs != {
        "event": "role_changed", "by": None, "employee_ids": [IRYNA], "role": "owner",
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
    first, second = sweep_of(desk), sweep_of(desk, node=1)
    await desk.sql(DISMISS, staff(OKSANA))

    assert await first.look() == await second.look() == 0
    given = await asyncio.gather(first.look(after_s=GRACE_S), second.look(after_s=GRACE_S))

    assert sum(given) == len(groups)

    for group in groups:
        assert sorted((await roles(desk, PETRO, group)).values()).count("owner") == 2
    assert await first.look_twice() == 0
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
    await desk.sql(DISMISS, staff(OKSANA))

    assert await sweep_of(desk).look_twice() == 0
    assert (await roles(desk, PETRO, shared))[IRYNA] == "member"


async def test_a_dismissed_owner_is_no_owner_for_others(small_desk: Desk) -> None:
    """The last active owner cannot be demoted, and who leaves is followed by somebody active."""
    petro = await small_desk.client(PETRO)
    group = await make_group(petro, OKSANA, IRYNA)
    await petro.request(
        ConversationSetRole(conversation_id=group, employee_id=OKSANA, role="owner")
    )
    await small_desk.sql(DISMISS, staff(OKSANA))

    demote = ConversationSetRole(conversation_id=group, employee_id=PETRO, role="member")
    assert await refused(petro.request(demote)) == "conversation.last_owner"
    await petro.request(ConversationLeave(conversation_id=group))

    assert (await roles(small_desk, IRYNA, group))[IRYNA] == "owner"


async def test_who_is_dismissed_for_a_moment_keeps_the_group(desk: Desk) -> None:
    """An import of the CRM shows somebody as dismissed, twice: nothing is given away."""
    group = await make_group(await desk.client(OKSANA), PETRO, IRYNA)
    sweep = sweep_of(desk)

    for _ in range(2):
        await desk.sql(DISMISS, staff(OKSANA))
        assert await sweep.look(after_s=30) == 0
        assert await sweep.look(after_s=GRACE_S - 60) == 0
        await desk.sql(RETURN, staff(OKSANA))
        assert await sweep.look(after_s=30) == 0
    assert (await roles(desk, PETRO, group))[OKSANA] == "owner"
    await desk.sql(DISMISS, staff(OKSANA))
    assert await sweep.look(after_s=GRACE_S) == 0
    assert await sweep.look(after_s=GRACE_S) == 1


async def test_a_group_keeps_an_owner_when_only_dismissed_people_remain(desk: Desk) -> None:
    """The last active one leaves: a dismissed one owns it, and keeps it when they come back."""
    petro = await desk.client(PETRO)
    group = await make_group(petro, OKSANA, IRYNA)
    await petro.request(ConversationSetRole(conversation_id=group, employee_id=IRYNA, role="admin"))
    await desk.sql(DISMISS, staff(OKSANA, IRYNA))

    await petro.request(ConversationLeave(conversation_id=group))

    await desk.sql(RETURN, staff(OKSANA))
    assert await roles(desk, OKSANA, group) == {OKSANA: "member", IRYNA: "owner"}
    assert await sweep_of(desk).look_twice() == 1
    assert await roles(desk, OKSANA, group) == {OKSANA: "owner", IRYNA: "owner"}


async def test_a_dismissed_owner_is_not_made_one_again(small_desk: Desk) -> None:
    """Who leaves a group to its other owner, who is dismissed, changes no role."""
    petro = await small_desk.client(PETRO)
    group = await make_group(petro, OKSANA, IRYNA)
    await petro.request(ConversationSetRole(conversation_id=group, employee_id=IRYNA, role="owner"))
    await small_desk.sql(DISMISS, staff(OKSANA, IRYNA))

    await petro.request(ConversationLeave(conversation_id=group))

    await small_desk.sql(RETURN, staff(OKSANA, IRYNA))
    assert await roles(small_desk, OKSANA, group) == {OKSANA: "member", IRYNA: "owner"}
    told = await small_desk.sql(
        "SELECT attrs FROM realtime.messages WHERE attrs ->> 'event' = 'role_changed'"
    )
    assert len(told) == 1


async def test_a_group_without_any_owner_is_given_to_somebody(desk: Desk) -> None:
    """However it lost its owner, also when nobody is dismissed."""
    group = await make_group(await desk.client(OKSANA), PETRO, IRYNA)
    await desk.sql(NO_OWNER, group)

    assert await sweep_of(desk).look_twice() == 1

    assert sorted((await roles(desk, PETRO, group)).values()) == ["member", "member", "owner"]


async def test_a_group_that_cannot_be_given_keeps_no_other_from_it(desk: Desk) -> None:
    """The first one fails each time; the one after it gets its owner."""
    oksana = await desk.client(OKSANA)
    broken, whole = [await make_group(oksana, PETRO, IRYNA) for _ in range(2)]
    await desk.sql(DISMISS, staff(OKSANA))
    await desk.sql(f"ALTER TABLE realtime.audit ADD CHECK (conversation_id <> {broken})")

    assert await sweep_of(desk).look_twice() == 1

    assert "owner" not in {(await roles(desk, PETRO, broken))[one] for one in (PETRO, IRYNA)}
    assert "owner" in {(await roles(desk, PETRO, whole))[one] for one in (PETRO, IRYNA)}


async def test_a_pause_of_the_sweeps_is_no_time_of_grace(desk: Desk) -> None:
    """Found a week ago and now: nobody knows what was between, so the time begins anew."""
    await make_group(await desk.client(OKSANA), PETRO, IRYNA)
    await desk.sql(DISMISS, staff(OKSANA))
    sweep = sweep_of(desk)
    assert await sweep.look() == 0
    await desk.sql("UPDATE realtime.ownerless_groups SET seen_at = seen_at - interval '7 days'")

    assert await sweep.look(after_s=7 * 86_400) == 0
    assert await sweep.look(after_s=GRACE_S - 60) == 0
    assert await sweep.look(after_s=60) == 1


async def test_a_worker_sweeps_by_itself(empty_desk: Desk) -> None:
    """Its job gives the group away after the setting's time."""
    await empty_desk.start_node(upkeep_s=0.02, owner_grace_s=0.1)
    group = await make_group(await empty_desk.client(OKSANA), PETRO, IRYNA)
    await empty_desk.sql(DISMISS, staff(OKSANA))

    async def given() -> bool:
        return "owner" in {(await roles(empty_desk, PETRO, group))[one] for one in (PETRO, IRYNA)}

    await eventually(given)
