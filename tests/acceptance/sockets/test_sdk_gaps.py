"""The Python SDK and what it missed: what can be resumed, and what is told as a reload."""

from __future__ import annotations

from typing import Any

from gateway.client import Connection, Reload, connect
from gateway.protocol import (
    ConversationCreated,
    MessageCreated,
)
from tests.acceptance.sockets.test_sdk import Gate, between
from tests.support.desk import OKSANA, PETRO, Desk, eventually


async def test_more_than_is_sent_again_is_a_reload(desk: Desk) -> None:
    """201 messages missed: a Reload says so, and from there on nothing is missed or repeated."""
    gate = Gate(desk.token(PETRO))
    oksana = await desk.client(OKSANA)
    async with connect(desk.nodes[1].socket_url, gate) as petro:
        conversation = (await oksana.open(PETRO)).conversation
        await oksana.send(conversation.id, "seen")
        await petro.next(MessageCreated)
        await gate.shut_out(petro)
        for number in range(201):
            await oksana.send(conversation.id, f"missed {number}")
        gate.open()

        first = await _next_of_chat(petro)
        assert first == Reload(conversation.id)
        last = (await petro.history(conversation.id, limit=1)).messages[0]
        assert (last.text, last.change) == ("missed 200", petro.positions[conversation.id])

        await oksana.send(conversation.id, "live")
        await gate.shut_out(petro)
        await oksana.send(conversation.id, "while away")
        gate.open()
        heard = [await _next_of_chat(petro) for _ in range(2)]
        assert [event.message.text for event in heard] == ["live", "while away"]


async def test_a_conversation_one_is_no_longer_in_is_forgotten(desk: Desk) -> None:
    """Taken out while away: one Reload, and the position is asked for no more."""
    gate = Gate(desk.token(PETRO))
    oksana = await desk.client(OKSANA)
    async with (
        between(desk.nodes[1].socket_url) as middleman,
        connect(middleman.url, gate) as petro,
    ):
        conversation = (await oksana.open(PETRO)).conversation
        await petro.next(ConversationCreated)
        await gate.shut_out(petro)
        await desk.sql(
            """
            UPDATE realtime.conversation_participants SET left_seq = 0
             WHERE conversation_id = $1 AND employee_id = $2
            """,
            conversation.id,
            PETRO,
        )
        gate.open()

        assert await petro.next(Reload) == Reload(conversation.id)
        assert conversation.id not in petro.positions
        await petro.drop()
        await eventually(lambda: len(middleman.hellos) == 3)

    assert middleman.hellos[1]["resume"] == {str(conversation.id): 1}
    assert middleman.hellos[2]["resume"] == {}


async def test_a_position_from_the_future_is_given_up(desk: Desk) -> None:
    """After a restored backup live events are below the position: they are heard all the same."""
    gate = Gate(desk.token(PETRO))
    oksana = await desk.client(OKSANA)
    async with connect(desk.nodes[1].socket_url, gate) as petro:
        conversation = (await oksana.open(PETRO)).conversation
        await petro.next(ConversationCreated)
        await gate.shut_out(petro)
        petro.positions[conversation.id] = 1_000
        gate.open()

        assert await petro.next(Reload) == Reload(conversation.id)
        await oksana.send(conversation.id, "heard")
        assert (await petro.next(MessageCreated)).message.text == "heard"


async def test_a_conversation_made_while_away_is_a_reload(desk: Desk) -> None:
    """Its conversation.created went to nobody: that it is new is said with the next welcome."""
    gate = Gate(desk.token(PETRO))
    oksana = await desk.client(OKSANA)
    async with connect(desk.nodes[1].socket_url, gate) as petro:
        await gate.shut_out(petro)
        conversation = (await oksana.open(PETRO)).conversation
        gate.open()

        assert await petro.next(Reload) == Reload(conversation.id)


async def test_the_thousand_newest_positions_are_resumed(desk: Desk) -> None:
    """Hello takes 1,000 positions: those touched last go, the others are a Reload each."""
    gate = Gate(desk.token(PETRO))
    oksana = await desk.client(OKSANA)
    async with (
        between(desk.nodes[0].socket_url) as middleman,
        connect(middleman.url, gate) as petro,
    ):
        conversation = (await oksana.open(PETRO)).conversation
        await petro.next(ConversationCreated)
        petro.positions.update({10_000 + number: 7 for number in range(1_100)})
        await oksana.send(conversation.id, "touched after them")
        await petro.next(MessageCreated)
        await gate.shut_out(petro)
        missed = await oksana.send(conversation.id, "missed")
        gate.open()

        lost = {(await petro.next(Reload)).conversation_id for _ in range(1_100)}

        resumed = middleman.hellos[1]["resume"]
        assert list(resumed) == [str(10_000 + n) for n in range(101, 1_100)] + [
            str(conversation.id)
        ]
        assert lost == {10_000 + number for number in range(1_100)}
        assert petro.positions == {conversation.id: missed.change}


async def _next_of_chat(client: Connection) -> Any:
    """Return the next Reload or message."""
    while True:
        event = await client.next()
        if isinstance(event, Reload | MessageCreated):
            return event
