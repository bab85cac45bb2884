"""An event that comes in the very turn of the event loop in which a session is welcomed.

It follows the welcome, and is not sent again if the welcome contains it, however many listen.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
import websockets

from gateway import topics
from gateway.bus import Announcement
from gateway.delivery.hub import ROOM_FROM, Hub
from gateway.protocol import ConversationCreate
from gateway.sockets.session.session import Session
from tests.support.desk import OKSANA, Desk

NEWCOMER = 10

sizes = pytest.mark.parametrize("others", [ROOM_FROM - 2, ROOM_FROM])
"""With the newcomer, too few to be written to in one pass, and enough."""


def hub_of(desk: Desk) -> Hub:
    return desk.nodes[0].node.delivery.hub


def before_welcome(monkeypatch: pytest.MonkeyPatch, event: Callable[[], None]) -> None:
    """Have this happen just before the newcomer is welcomed, in the same turn."""
    welcome = Session.send_welcome

    def late(self: Session, made: Any) -> None:
        if self.user_id == NEWCOMER:
            event()
        welcome(self, made)

    monkeypatch.setattr(Session, "send_welcome", late)


async def next_frame(client: Any) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(await asyncio.wait_for(client.recv(), 20))
    return frame


@sizes
async def test_what_is_published_in_the_turn_of_a_welcome_follows_it(
    small_desk: Desk, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """No event comes before the reply to hello."""
    await small_desk.sql(
        "UPDATE demo_crm.roles SET permissions = permissions || '{callbacks.handle}'::text[]"
    )
    _clients = [await small_desk.client(one) for one in range(1, others + 1)]
    hub = hub_of(small_desk)
    assert len(hub.listeners(topics.CALLBACKS)) == others
    changed = Announcement(
        topics.CALLBACKS,
        "callback.changed",
        b'{"type":"callback.changed","callback":{"id":7,"version":2},"open":1,"open_as_of":1}',
        0,
    )
    before_welcome(monkeypatch, lambda: hub.deliver(changed))

    async with websockets.connect(small_desk.nodes[0].socket_url, compression=None) as client:
        hello = {"id": 0, "type": "hello", "token": small_desk.token(NEWCOMER)}
        await client.send(json.dumps(hello))
        frames = [await next_frame(client) for _ in range(2)]

    assert [one.get("type", one.get("id")) for one in frames] == [0, "callback.changed"]


@sizes
async def test_what_a_welcome_contains_is_not_sent_again_in_its_turn(
    small_desk: Desk, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """A bus that is a little late delivers a message that the snapshot already has."""
    oksana = await small_desk.client(OKSANA)
    members = [one for one in range(1, NEWCOMER) if one != OKSANA][: others - 1]
    made = await oksana.request(ConversationCreate(title="room", employee_ids=[*members, NEWCOMER]))
    _clients = [await small_desk.client(one) for one in members]
    hub = hub_of(small_desk)
    seen: list[Announcement] = []
    hub.on_delivered("message.created", lambda announcement, _: seen.append(announcement))
    await oksana.send(made.conversation.id, "known")
    known = seen[-1]
    before_welcome(monkeypatch, lambda: hub.deliver(known))

    async with websockets.connect(small_desk.nodes[0].socket_url, compression=None) as client:
        hello = {"id": 1, "type": "hello", "token": small_desk.token(NEWCOMER)}
        await client.send(json.dumps(hello))
        frames = [await next_frame(client)]
        await oksana.send(made.conversation.id, "next")
        while frames[-1].get("message", {}).get("text") != "next":
            frames.append(await next_frame(client))

    assert frames[0]["id"] == 1
    texts = [one["message"]["text"] for one in frames if one.get("type") == "message.created"]
    assert texts == ["next"]
