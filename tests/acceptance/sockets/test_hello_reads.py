"""Hellos that come together are read together; nobody is told what is no longer so."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from gateway.hello import snapshot
from gateway.hello.queries import overview
from gateway.protocol import CallList, ConversationCreate, PresenceSet
from tests.support.calls import ANSWERED, play, recorded
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, RunningNode, eventually
from tests.support.raw import RawSocket, raw


async def hello(desk: Desk, node: RunningNode, employee_id: int, **fields: Any) -> dict[str, Any]:
    """Say hello, leave, and return what was answered."""
    async with raw(node.socket_url) as client:
        return await client.hello(desk.token(employee_id), **fields)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count for how many people each list of conversations is read."""
    counts: list[int] = []
    lines = overview.lines

    async def counted(conn: Any, employee_ids: Any, **options: Any) -> list[overview.OverviewRow]:
        counts.append(len(employee_ids))
        return await lines(conn, employee_ids, **options)

    monkeypatch.setattr(overview, "lines", counted)
    return counts


async def test_a_crowd_is_welcomed_each_with_their_own(desk: Desk, batches: list[int]) -> None:
    """Twelve people who come at once are read in fewer looks, and nobody gets another's chats."""
    oksana = await desk.client(OKSANA)
    crowd = range(2, 14)
    talks: dict[int, tuple[int, list[int]]] = {}
    for employee_id in crowd:
        conversation = (await oksana.open(employee_id)).conversation
        sent = [(await oksana.send(conversation.id, f"to {employee_id}")).change for _ in range(3)]
        talks[employee_id] = conversation.id, sent
    batches.clear()

    async with AsyncExitStack() as stack:
        clients: dict[int, RawSocket] = {
            employee_id: await stack.enter_async_context(raw(desk.nodes[1].socket_url))
            for employee_id in crowd
        }
        found = await asyncio.gather(
            *(
                client.hello(
                    desk.token(employee_id),
                    # Everyone is at another place; conversation 1's position is nobody else's.
                    resume={
                        str(talks[employee_id][0]): talks[employee_id][1][employee_id % 3],
                        str(talks[2 + (employee_id - 1) % 12][0]): 1,
                    },
                )
                for employee_id, client in clients.items()
            )
        )

    for employee_id, answer in zip(crowd, found, strict=True):
        welcome, (conversation_id, sent) = answer["ok"], talks[employee_id]
        assert welcome["user"]["id"] == employee_id
        assert [item["id"] for item in welcome["conversations"]] == [conversation_id]
        missed = welcome["changes"].get(str(conversation_id), [])
        assert [event["change"] for event in missed] == sent[employee_id % 3 + 1 :]
        assert {event["message"]["text"] for event in missed} <= {f"to {employee_id}"}
        assert welcome["reload"] == [talks[2 + (employee_id - 1) % 12][0]]
        assert welcome["unread"]["total"]["messages"] == 3
    assert sum(batches) == 12
    assert len(batches) < 12


async def test_members_of_one_group_get_what_each_missed(desk: Desk) -> None:
    """What several missed is read once, from where the last one stopped; each gets only theirs."""
    oksana = await desk.client(OKSANA)
    people = list(range(2, 10))
    group = await oksana.request(ConversationCreate(title="all", employee_ids=people))
    conversation_id = group.conversation.id
    sent = [(await oksana.send(conversation_id, f"{n}")).change for n in range(len(people))]

    found = await asyncio.gather(
        *(
            hello(desk, desk.nodes[1], employee_id, resume={str(conversation_id): change})
            for employee_id, change in zip(people, sent, strict=True)
        )
    )

    for number, answer in enumerate(found):
        missed = answer["ok"]["changes"].get(str(conversation_id), [])
        assert [event["change"] for event in missed] == sent[number + 1 :]
        assert [event["message"]["text"] for event in missed] == [
            f"{n}" for n in range(number + 1, len(people))
        ]


async def test_who_left_a_group_is_gone_from_the_next_welcome(desk: Desk) -> None:
    """However short ago the group's people were printed for someone else."""
    oksana = await desk.client(OKSANA)
    made = await oksana.request(ConversationCreate(title="g", employee_ids=[PETRO, IRYNA]))
    node = desk.nodes[1]
    before = await hello(desk, node, PETRO)

    await desk.sql(
        "UPDATE realtime.conversation_participants SET left_seq = 0, change = 2"
        " WHERE conversation_id = $1 AND employee_id = $2",
        made.conversation.id,
        IRYNA,
    )
    after = await hello(desk, node, PETRO)
    hers = await hello(desk, node, IRYNA)

    def people(answer: dict[str, Any]) -> list[int]:
        (group,) = answer["ok"]["conversations"]
        return [who["employee"]["id"] for who in group["participants"]]

    assert people(before) == [OKSANA, PETRO, IRYNA]
    assert people(after) == [OKSANA, PETRO]
    assert after["ok"]["conversations"][0]["participant_count"] == 2
    assert hers["ok"]["conversations"] == []


async def test_a_read_position_is_in_the_very_next_welcome(desk: Desk) -> None:
    """Its event has no number, so only a snapshot heals a lost one: it may never be old."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO)
    conversation = (await oksana.open(PETRO)).conversation
    for number in range(1, 4):
        await oksana.send(conversation.id, "read me")
        await petro.read(conversation.id, number)

        welcome = (await hello(desk, desk.nodes[1], OKSANA))["ok"]

        (listed,) = welcome["conversations"]
        seen = {who["employee"]["id"]: who["last_read_seq"] for who in listed["participants"]}
        assert seen == {OKSANA: number, PETRO: number}


async def test_a_new_name_shows_within_seconds(desk: Desk) -> None:
    """Names are kept for a moment, and only for a moment."""
    oksana = await desk.client(OKSANA)
    await oksana.open(PETRO)
    node = desk.nodes[1]

    async def name() -> str:
        (listed,) = (await hello(desk, node, OKSANA))["ok"]["conversations"]
        return str(listed["participants"][1]["employee"]["name"])

    assert await name() == "Petro Marchenko"
    await desk.sql("UPDATE demo_crm.staff SET full_name = 'Petro Novak' WHERE id = $1", PETRO)

    async def renamed() -> bool:
        return await name() == "Petro Novak"

    await eventually(renamed, timeout_s=5)


async def test_permissions_and_dismissals_are_never_kept(desk: Desk) -> None:
    """Who may come in, and what they may do, is read after the hello that asks."""
    node = desk.nodes[0]
    assert (await hello(desk, node, PETRO))["ok"]["permissions"] != []

    await desk.sql("UPDATE demo_crm.roles SET permissions = '{}' WHERE id = 1")
    withdrawn = await hello(desk, node, PETRO)
    await desk.sql("UPDATE demo_crm.staff SET dismissed_on = now() WHERE id = $1", PETRO)
    async with raw(node.socket_url) as petro:
        dismissed = await petro.hello(desk.token(PETRO))
        code = await petro.closed_with()

    assert withdrawn["ok"]["permissions"] == []
    assert dismissed["error"]["code"] == "employee.disabled"
    assert code < 4200  # the class that does not come back


async def test_one_who_is_dismissed_keeps_nobody_out(desk: Desk) -> None:
    """In the middle of a crowd that is read together, the others are welcomed."""
    await desk.sql("UPDATE demo_crm.staff SET dismissed_on = now() WHERE id = $1", PETRO)

    found = await asyncio.gather(*(hello(desk, desk.nodes[0], who) for who in range(1, 9)))

    assert ["error" in answer for answer in found] == [who == PETRO for who in range(1, 9)]


async def test_who_came_or_changed_here_is_in_the_very_next_welcome(desk: Desk) -> None:
    """Presences are kept for a moment, but what this node announced is known at once."""
    oksana = await desk.client(OKSANA)
    await oksana.request(ConversationCreate(title="g", employee_ids=[PETRO, IRYNA]))

    async def seen() -> dict[int, str]:
        (group,) = (await hello(desk, desk.nodes[0], IRYNA))["ok"]["conversations"]
        return {one["employee_id"]: one["status"] for one in group["presences"]}

    assert await seen() == {OKSANA: "online", PETRO: "offline"}
    petro = await desk.client(PETRO)

    async def here() -> bool:
        return (await seen())[PETRO] == "online"

    await eventually(here)
    await petro.request(PresenceSet(status="busy"))
    first = await seen()
    await petro.request(PresenceSet(status="do_not_disturb"))

    assert first[PETRO] == "busy"
    assert (await seen())[PETRO] == "do_not_disturb"


async def test_who_changed_elsewhere_is_soon_in_a_welcome(desk: Desk) -> None:
    """Of people whom nobody watches here a node hears nothing: what it keeps ends by itself."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    await oksana.open(PETRO)

    async def status() -> str:
        (talk,) = (await hello(desk, desk.nodes[0], OKSANA))["ok"]["conversations"]
        return str(talk["presences"][0]["status"])

    assert await status() == "online"
    await petro.request(PresenceSet(status="busy"))

    async def busy() -> bool:
        return await status() == "busy"

    await eventually(busy, timeout_s=5)


async def test_live_calls_go_to_whose_telephone_rings(desk: Desk) -> None:
    """A crowd that is read together hears each of their own calls, and no others."""
    events = await recorded(ANSWERED)
    await play(desk, events[: len(events) * 2 // 3])

    found = await asyncio.gather(*(hello(desk, desk.nodes[1], who) for who in range(1, 9)))
    listed = await (await desk.client(OKSANA)).request(CallList(status="live"))

    calls = {who: answer["ok"]["calls"] for who, answer in enumerate(found, start=1)}
    assert len(calls[OKSANA]) == 1
    assert [call["id"] for call in calls[OKSANA]] == [str(call.id) for call in listed.calls]
    assert calls[OKSANA][0]["customer"]["name"] == "Ivan Petrenko"
    assert not any(calls[who] for who in range(4, 9))


async def test_nothing_is_kept_once_nobody_arrives(desk: Desk) -> None:
    """After a storm the memory it took is free again."""
    oksana = await desk.client(OKSANA)
    await oksana.open(PETRO)
    arrivals = desk.nodes[0].node.hello_reads
    await hello(desk, desk.nodes[0], OKSANA)
    assert len(arrivals._rosters) == 1

    await eventually(lambda: not arrivals._rosters and not arrivals._names)


async def test_a_hello_that_failed_leaves_nothing_behind(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client hears nothing before the next hello, and everything after it."""
    oksana, node = await desk.client(OKSANA), desk.nodes[1]
    room = (await oksana.open(PETRO)).conversation.id
    read = snapshot.read_snapshot

    async def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError

    async with raw(node.socket_url) as petro:
        monkeypatch.setattr(snapshot, "read_snapshot", fail)
        refused = await petro.hello(desk.token(PETRO))
        monkeypatch.setattr(snapshot, "read_snapshot", read)
        joined = len(node.node.delivery.hub.listeners(f"conversation:{room}"))
        missed = await oksana.send(room, "before")
        welcomed = await petro.hello(desk.token(PETRO))
        await oksana.send(room, "after")
        while (heard := await petro.hear())["type"] != "message.created":
            pass

    assert (refused["error"]["code"], joined) == ("internal", 0)
    assert welcomed["ok"]["user"]["id"] == PETRO
    assert (heard["message"]["text"], heard["message"]["seq"]) == ("after", missed.seq + 1)
