"""A scheduled message is sent at its time, once, whatever happens to nodes and people meanwhile."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.client import Connection, RequestRefused
from gateway.protocol import (
    MessageCreated,
    MessageReschedule,
    MessageSchedule,
    MessageScheduleChanged,
    MessageScheduled,
    MessageScheduledList,
    MessageScheduleFailed,
    MessageUnschedule,
    ScheduledMessage,
)
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, eventually, refused, staff

SCHEDULED = "/v1/messenger/scheduled-messages"


def soon(**after: float) -> datetime:
    return datetime.now(UTC) + (timedelta(**after) if after else timedelta(hours=1))


async def schedule(who: Connection, room: int, text: str, **fields: Any) -> ScheduledMessage:
    given = {"client_key": uuid.uuid4(), "send_at": soon(), **fields}
    done: MessageScheduled = await who.request(
        MessageSchedule(conversation_id=room, text=text, **given)
    )
    return done.scheduled


async def listed(who: Connection, **fields: Any) -> list[ScheduledMessage]:
    page = await who.request(MessageScheduledList(**fields))
    found: list[ScheduledMessage] = page.scheduled
    return found


async def make_due(desk: Desk, *, seconds_ago: float = 0) -> None:
    """Let the time of everything that waits have come, and somebody look."""
    await desk.sql(
        "UPDATE realtime.scheduled_messages SET send_at = now() - make_interval(secs => $1)",
        seconds_ago,
    )
    await look(desk)


async def look(desk: Desk) -> None:
    """Let somebody look now for messages that are due soon."""
    await desk.sql("UPDATE realtime.schedules SET next_at = now() WHERE name = 'scheduled.collect'")
    desk.nodes[-1].node.services.doorbell.ring(0)


async def states(desk: Desk) -> list[str]:
    rows = await desk.sql("SELECT state FROM realtime.scheduled_messages ORDER BY id")
    return [row["state"] for row in rows]


async def test_it_is_sent_at_its_time_with_its_key(desk: Desk) -> None:
    """As its author would have sent it, and it is no longer listed."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    room = (await oksana.open(PETRO)).conversation.id
    made = await schedule(oksana, room, "Доброго ранку!")
    assert await listed(oksana) == [made]

    await make_due(desk)

    heard = (await petro.next(MessageCreated)).message
    assert (heard.text, heard.sender_id) == ("Доброго ранку!", OKSANA)
    assert heard.client_key == made.client_key
    await eventually(lambda: states_are(desk, ["sent"]))
    assert await listed(oksana) == []


async def states_are(desk: Desk, wanted: list[str]) -> bool:
    return await states(desk) == wanted


async def test_many_nodes_send_each_once(desk: Desk) -> None:
    """Sixty at once, two nodes that both want them all: sixty messages."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    room = (await oksana.open(PETRO)).conversation.id
    made = [await schedule(oksana, room, f"{number}") for number in range(60)]

    await make_due(desk)

    heard = [(await petro.next(MessageCreated)).message for _ in made]
    await eventually(lambda: states_are(desk, ["sent"] * 60))
    assert {message.client_key for message in heard} == {item.client_key for item in made}
    rows = await desk.sql("SELECT count(*) AS count FROM realtime.messages")
    assert rows[0]["count"] == 60


async def test_what_a_dying_node_held_is_sent_by_another(empty_desk: Desk) -> None:
    """Also when it died after storing the message and before noting so: it is not stored again."""
    first = await empty_desk.start_node()
    oksana = await empty_desk.client(OKSANA)
    room = (await oksana.open(PETRO)).conversation.id
    stored = await schedule(oksana, room, "stored already")
    await schedule(oksana, room, "not begun")
    await first.stop()
    await empty_desk.start_node()
    petro = await empty_desk.client(PETRO, node=1)
    await petro.send(room, "hello")
    sender = await empty_desk.client(OKSANA, node=1)
    await sender.send(room, "stored already", client_key=stored.client_key)

    await empty_desk.sql(
        "UPDATE realtime.scheduled_messages SET send_at = now() - interval '1 hour',"
        " attempts = 1, claimed_until = now() + interval '0.3 s'"
    )

    async def sent() -> bool:
        await look(empty_desk)
        return await states_are(empty_desk, ["sent", "sent"])

    await eventually(sent)
    texts = [message.text for message in (await petro.history(room)).messages]
    assert texts == ["hello", "stored already", "not begun"]


async def test_scheduling_again_schedules_once(small_desk: Desk) -> None:
    """Five retries at once; another text with that key is a mistake; after sending it is known."""
    oksana = await small_desk.client(OKSANA)
    room = (await oksana.open(PETRO)).conversation.id
    key, at = uuid.uuid4(), soon()

    made = await asyncio.gather(
        *(schedule(oksana, room, "once", client_key=key, send_at=at) for _ in range(5))
    )

    assert len({item.scheduled_id for item in made}) == 1
    assert (
        await refused(schedule(oksana, room, "other", client_key=key))
        == "message.client_key_reused"
    )
    await make_due(small_desk)
    await eventually(lambda: states_are(small_desk, ["sent"]))
    assert (await schedule(oksana, room, "once", client_key=key)).state == "sent"
    assert await states(small_desk) == ["sent"]


async def test_membership_and_standing_are_checked_when_it_is_sent(desk: Desk) -> None:
    """Who has left or was dismissed sends nothing; the reason is kept and told."""
    oksana, iryna = await desk.client(OKSANA), await desk.client(IRYNA, node=1)
    room = (await oksana.open(PETRO)).conversation.id
    hers = (await iryna.open(PETRO)).conversation.id
    made = await schedule(oksana, room, "too late")
    await schedule(iryna, hers, "dismissed")
    await desk.sql(
        "UPDATE realtime.conversation_participants SET left_seq = 0"
        " WHERE conversation_id = $1 AND employee_id = $2",
        room, OKSANA,
    )  # fmt: skip
    await desk.sql(
        "UPDATE demo_crm.staff SET dismissed_on = '2026-01-01' WHERE id = $1", *staff(IRYNA)
    )

    await make_due(desk)

    told = (await oksana.next(MessageScheduleFailed)).scheduled
    assert (told.scheduled_id, told.state) == (made.scheduled_id, "failed")
    assert told.failed_code == "conversation.not_found"
    assert await listed(oksana) == [told]
    await eventually(lambda: states_are(desk, ["failed", "failed"]))
    codes = await desk.sql("SELECT failed_code FROM realtime.scheduled_messages ORDER BY id")
    assert [row["failed_code"] for row in codes] == ["conversation.not_found", "employee.disabled"]
    assert await desk.sql("SELECT * FROM realtime.messages") == []

    await desk.sql("UPDATE realtime.conversation_participants SET left_seq = NULL")
    again = await oksana.request(
        MessageReschedule(scheduled_id=made.scheduled_id, send_at=soon(), text="now")
    )
    assert (again.scheduled.state, again.scheduled.failed_code) == ("waiting", None)
    await make_due(desk)
    assert (await oksana.next(MessageCreated)).message.text == "now"


async def test_it_can_be_changed_and_taken_back_until_it_is_sent(small_desk: Desk) -> None:
    """By its author alone; what is being sent, or was, is neither moved nor taken back."""
    oksana, petro = await small_desk.client(OKSANA), await small_desk.client(PETRO)
    room = (await oksana.open(PETRO)).conversation.id
    made = await schedule(oksana, room, "first")
    other = await schedule(oksana, room, "second", send_at=soon(days=2))

    at = soon(days=3)
    moved = await oksana.request(MessageReschedule(scheduled_id=made.scheduled_id, send_at=at))
    assert (moved.scheduled.send_at, moved.scheduled.text) == (at, "first")
    assert await listed(oksana) == [other, moved.scheduled]
    assert await listed(oksana, conversation_id=room + 1) == []

    for asking in (
        petro.request(MessageUnschedule(scheduled_id=made.scheduled_id)),
        petro.request(MessageReschedule(scheduled_id=made.scheduled_id, send_at=at)),
        oksana.request(MessageUnschedule(scheduled_id=999_999)),
    ):
        assert await refused(asking) == "scheduled.not_found"
    assert await listed(petro) == []

    taken = await oksana.request(MessageUnschedule(scheduled_id=other.scheduled_id))
    assert taken.scheduled == other
    await small_desk.sql(
        "UPDATE realtime.scheduled_messages SET claimed_until = now() + interval '1 hour'"
    )
    for command in (
        MessageUnschedule(scheduled_id=made.scheduled_id),
        MessageReschedule(scheduled_id=made.scheduled_id, send_at=at),
    ):
        assert await refused(oksana.request(command)) == "scheduled.sent"
    assert await listed(oksana) == [moved.scheduled]


async def test_a_hundred_wait_at_most(small_desk: Desk) -> None:
    """Also when twenty are scheduled at once beside ninety."""
    oksana = await small_desk.client(OKSANA)
    room = (await oksana.open(PETRO)).conversation.id
    await small_desk.sql(
        "INSERT INTO realtime.scheduled_messages"
        " (employee_id, conversation_id, client_key, text, send_at)"
        " SELECT $1, $2, gen_random_uuid(), 'x', now() + interval '1 day'"
        " FROM generate_series(1, 90)",
        OKSANA, room,
    )  # fmt: skip

    done = await asyncio.gather(
        *(schedule(oksana, room, f"{number}") for number in range(20)), return_exceptions=True
    )

    refused = [item for item in done if isinstance(item, RequestRefused)]
    assert [item.code for item in refused] == ["scheduled.too_many"] * 10
    assert await states(small_desk) == ["waiting"] * 100


async def test_bad_schedules_are_refused(small_desk: Desk) -> None:
    """Too soon, too late, without a zone, into others' conversations; over HTTP as well."""
    oksana, iryna = await small_desk.client(OKSANA), await small_desk.client(IRYNA)
    room = (await oksana.open(PETRO)).conversation.id
    for at in (soon(seconds=30), soon(days=-1), soon(days=370), datetime.max.replace(tzinfo=UTC)):
        assert await refused(schedule(oksana, room, "a", send_at=at)) == "command.invalid"
    for conversation_id in (room, 999_999):
        assert await refused(schedule(iryna, conversation_id, "a")) == "conversation.not_found"

    http = small_desk.http(OKSANA)
    path = f"/v1/messenger/conversations/{room}/scheduled-messages"
    good = {"client_key": str(uuid.uuid4()), "text": "a", "send_at": soon().isoformat()}
    for wrong in (
        {"send_at": "tomorrow"}, {"send_at": "2099-01-01T00:00:00"}, {"text": ""},
        {"text": "\x00"}, {"client_key": "x"}, {"more": 1},
        {"send_at": "0001-01-01T00:00:00+14:00"}, {"send_at": "9999-12-31T23:59:59-14:00"},
    ):  # fmt: skip
        answer = await http.post(path, json={**good, **wrong})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "command.invalid")
    assert await states(small_desk) == []

    made = await http.post(path, json=good)
    assert made.status_code == 201
    scheduled_id = made.json()["scheduled"]["scheduled_id"]
    moved = await http.patch(f"{SCHEDULED}/{scheduled_id}", json={"send_at": good["send_at"]})
    assert moved.json() == made.json()
    assert (await http.get(SCHEDULED)).json()["scheduled"] == [made.json()["scheduled"]]
    assert (await http.delete(f"{SCHEDULED}/{scheduled_id}")).json() == made.json()
    assert (await http.delete(f"{SCHEDULED}/{scheduled_id}")).status_code == 404


async def test_my_other_devices_see_it_change(desk: Desk) -> None:
    """Scheduling, moving, sending and taking back are told to each of them; to others nothing."""
    laptop, phone = await desk.client(OKSANA), await desk.client(OKSANA, node=1)
    petro = await desk.client(PETRO, node=1)
    room = (await laptop.open(PETRO)).conversation.id

    async def told() -> tuple[int, str, str, bool]:
        heard = await phone.next(MessageScheduleChanged)
        one = heard.scheduled
        return one.scheduled_id, one.text, one.state, heard.gone

    first = (await schedule(laptop, room, "one")).scheduled_id
    assert await told() == (first, "one", "waiting", False)
    await laptop.request(MessageReschedule(scheduled_id=first, send_at=soon(hours=2), text="two"))
    assert await told() == (first, "two", "waiting", False)
    await make_due(desk)
    assert await told() == (first, "two", "sent", True)
    second = (await schedule(laptop, room, "three")).scheduled_id
    assert await told() == (second, "three", "waiting", False)
    await laptop.request(MessageUnschedule(scheduled_id=second))
    assert await told() == (second, "three", "waiting", True)

    await laptop.send(room, "end")
    heard: list[Any] = []
    while (
        not heard
        or getattr(heard[-1], "type", "") != "message.created"
        or (heard[-1].message.text != "end")
    ):
        heard.append(await petro.next())
    assert not any(isinstance(event, MessageScheduleChanged) for event in heard)
