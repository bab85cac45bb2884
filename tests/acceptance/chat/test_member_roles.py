"""Who may do what in a group: owners, admins, members, strangers."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.client import RequestRefused
from gateway.protocol import (
    ConversationAdd,
    ConversationClose,
    ConversationLeave,
    ConversationList,
    ConversationRemove,
    ConversationReopen,
    ConversationSetRole,
    ConversationUpdate,
)
from tests.acceptance.chat.test_members import MARIA, make_group
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, refused
from tests.support.raw import raw


async def test_the_last_owner_who_leaves_is_followed_by_who_is_there_longest(desk: Desk) -> None:
    """An admin before a member; while there is no other owner none can be demoted."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    iryna = await desk.client(IRYNA)
    group = await make_group(oksana, PETRO, IRYNA)
    await oksana.request(
        ConversationSetRole(conversation_id=group, employee_id=IRYNA, role="admin")
    )
    demote = ConversationSetRole(conversation_id=group, employee_id=OKSANA, role="member")
    assert await refused(oksana.request(demote)) == "conversation.last_owner"

    await oksana.request(ConversationLeave(conversation_id=group))
    assert await refused(oksana.history(group)) == "conversation.not_found"
    roles = {
        who.employee.id: who.role
        for who in (await petro.request(ConversationList())).conversations[0].participants
    }
    assert roles == {PETRO: "member", IRYNA: "owner"}
    await iryna.request(ConversationLeave(conversation_id=group))
    await petro.request(ConversationUpdate(conversation_id=group, title="мій"))
    await petro.request(ConversationLeave(conversation_id=group))
    assert (await petro.request(ConversationList())).conversations == []


async def test_members_may_leave_and_no_more(small_desk: Desk) -> None:
    """Every command for owners and admins is refused to a member, and changes nothing."""
    oksana, petro = await small_desk.client(OKSANA), await small_desk.client(PETRO)
    group = await make_group(oksana, PETRO, IRYNA)
    before = await small_desk.sql("SELECT * FROM realtime.conversations WHERE id = $1", group)

    for command in (
        ConversationAdd(conversation_id=group, employee_ids=[MARIA]),
        ConversationRemove(conversation_id=group, employee_id=IRYNA),
        ConversationSetRole(conversation_id=group, employee_id=PETRO, role="owner"),
        ConversationUpdate(conversation_id=group, title="mine"),
        ConversationClose(conversation_id=group),
        ConversationReopen(conversation_id=group),
    ):
        assert await refused(petro.request(command)) == "permission.denied"
    await oksana.request(
        ConversationSetRole(conversation_id=group, employee_id=PETRO, role="admin")
    )
    over_owner = ConversationRemove(conversation_id=group, employee_id=OKSANA)
    assert await refused(petro.request(over_owner)) == "permission.denied"

    after = await small_desk.sql("SELECT * FROM realtime.conversations WHERE id = $1", group)
    assert after[0]["last_change"] == before[0]["last_change"] + 2  # the role, and that it is said
    await petro.request(ConversationLeave(conversation_id=group))


async def test_two_admins_who_remove_each_other_do_not_both(desk: Desk) -> None:
    """The first stays; to the second the conversation does not exist any more."""
    oksana = await desk.client(OKSANA)
    petro, iryna = await desk.client(PETRO), await desk.client(IRYNA, node=1)

    for _ in range(5):
        group = await make_group(oksana, PETRO, IRYNA)
        for admin in (PETRO, IRYNA):
            await oksana.request(
                ConversationSetRole(conversation_id=group, employee_id=admin, role="admin")
            )
        done = await asyncio.gather(
            petro.request(ConversationRemove(conversation_id=group, employee_id=IRYNA)),
            iryna.request(ConversationRemove(conversation_id=group, employee_id=PETRO)),
            return_exceptions=True,
        )
        refused = [one for one in done if isinstance(one, RequestRefused)]
        assert [one.code for one in refused] == ["conversation.not_found"]
        left = await desk.sql(
            "SELECT 1 FROM realtime.conversation_participants WHERE conversation_id = $1"
            " AND left_seq IS NULL",
            group,
        )
        assert len(left) == 2


async def test_a_group_always_has_an_owner(desk: Desk) -> None:
    """While the last owner leaves and another is made owner or leaves too, at once."""
    oksana = await desk.client(OKSANA)
    petro, iryna = await desk.client(PETRO), await desk.client(IRYNA, node=1)

    for turn in range(6):
        group = await make_group(oksana, PETRO, IRYNA, MARIA)
        attempts = [
            oksana.request(ConversationLeave(conversation_id=group)),
            petro.request(ConversationLeave(conversation_id=group)),
            iryna.request(
                ConversationSetRole(conversation_id=group, employee_id=MARIA, role="owner")
            ),
            oksana.request(
                ConversationSetRole(conversation_id=group, employee_id=PETRO, role="owner")
            ),
        ]
        await asyncio.gather(*attempts[turn % 2 :: 1], return_exceptions=True)
        if turn % 2:
            attempts[0].close()
        rows = await desk.sql(
            "SELECT role, count(*) FROM realtime.conversation_participants"
            " WHERE conversation_id = $1 AND left_seq IS NULL GROUP BY role",
            group,
        )
        roles = {row["role"]: row["count"] for row in rows}
        assert roles.get("owner", 0) >= 1, roles


async def test_a_removed_sender_stores_nothing_after_the_removal(desk: Desk) -> None:
    """Of messages sent while they are taken out, those that are stored come before it."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)

    for _ in range(5):
        group = await make_group(oksana, PETRO)
        await asyncio.gather(
            *(petro.send(group, f"{number}") for number in range(20)),
            oksana.request(ConversationRemove(conversation_id=group, employee_id=PETRO)),
            return_exceptions=True,
        )
        [late] = await desk.sql(
            """
            SELECT count(*) FROM realtime.messages AS m
              JOIN realtime.conversation_participants AS p USING (conversation_id)
             WHERE m.conversation_id = $1 AND p.employee_id = $2 AND m.sender_id = $2
               AND m.seq > p.left_seq
            """,
            group,
            PETRO,
        )
        assert late["count"] == 0
        [numbers] = await desk.sql(
            "SELECT count(*) AS count, max(seq) AS last FROM realtime.messages"
            " WHERE conversation_id = $1",
            group,
        )
        assert numbers["count"] == numbers["last"]


async def test_direct_conversations_keep_their_two_people(small_desk: Desk) -> None:
    """Every command that changes a group is refused for them."""
    oksana = await small_desk.client(OKSANA)
    direct = (await oksana.open(PETRO)).conversation.id

    for command in (
        ConversationAdd(conversation_id=direct, employee_ids=[IRYNA]),
        ConversationRemove(conversation_id=direct, employee_id=PETRO),
        ConversationLeave(conversation_id=direct),
        ConversationSetRole(conversation_id=direct, employee_id=PETRO, role="admin"),
        ConversationUpdate(conversation_id=direct, title="us"),
        ConversationClose(conversation_id=direct),
        ConversationReopen(conversation_id=direct),
    ):
        assert await refused(oksana.request(command)) == "conversation.direct"


async def test_bad_membership_commands_change_nothing(desk: Desk) -> None:
    """Unknown people, too many, wrong types and other people's groups: each has its code."""
    oksana, stranger = await desk.client(OKSANA), await desk.client(MARIA)
    group = await make_group(oksana, PETRO)
    before = await desk.sql("SELECT * FROM realtime.conversations WHERE id = $1", group)

    async def code(**said: Any) -> str:
        async with raw(desk.nodes[0].socket_url) as socket:
            await socket.hello(desk.token(OKSANA))
            return await socket.code_of({"id": 2, "conversation_id": group, **said})

    assert await code(type="conversation.add", employee_ids=[999_999]) == "employee.not_found"
    for people in ([], [0], ["4"], [True], [2**63], list(range(1, 102)), 4, None):
        assert await code(type="conversation.add", employee_ids=people) == "command.invalid"
    assert await code(type="conversation.remove", employee_id=MARIA) == "participant.not_found"
    assert await code(type="conversation.remove", employee_id=OKSANA) == "command.invalid"
    assert (
        await code(type="conversation.set_role", employee_id=MARIA, role="admin")
        == "participant.not_found"
    )
    assert (
        await code(type="conversation.set_role", employee_id=PETRO, role="king")
        == "command.invalid"
    )
    for fields in (
        {},
        {"title": ""},
        {"title": "x" * 201},
        {"title": "a\x00b"},
        {"avatar_url": "javascript:alert(1)"},
        {"avatar_url": "https://a b"},
        {"avatar_url": "https://" + "a" * 2_000},
        {"history": "none"},
        {"colour": "red"},
    ):
        assert await code(type="conversation.update", **fields) == "command.invalid", fields
    for conversation_id in (group, 999_999):
        for command in (
            ConversationAdd(conversation_id=conversation_id, employee_ids=[MARIA]),
            ConversationRemove(conversation_id=conversation_id, employee_id=PETRO),
            ConversationLeave(conversation_id=conversation_id),
            ConversationSetRole(conversation_id=conversation_id, employee_id=MARIA, role="owner"),
            ConversationUpdate(conversation_id=conversation_id, title="mine"),
            ConversationClose(conversation_id=conversation_id),
            ConversationReopen(conversation_id=conversation_id),
        ):
            assert await refused(stranger.request(command)) == "conversation.not_found"
    assert before == await desk.sql("SELECT * FROM realtime.conversations WHERE id = $1", group)
