"""One connection of a device, one telephone of a user: the newest stays, wherever it is."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from gateway.bus import Announcement
from gateway.client import ConnectionEnded, connect
from gateway.protocol import Bye, Device, UnreadGet
from gateway.sockets.admission.devices import ARRIVED
from tests.support.desk import OKSANA, PETRO, Desk, eventually
from tests.support.raw import RawSocket, raw


def phone(name: str) -> dict[str, Any]:
    return {"device": {"id": name, "kind": "softphone"}}


def window(name: str) -> dict[str, Any]:
    return {"device": {"id": name, "kind": "web"}}


async def is_served(client: RawSocket) -> bool:
    return "ok" in await client.ask({"type": "unread.get", "id": 9})


@pytest.mark.parametrize("second", [0, 1], ids=["the same node", "another node"])
async def test_a_new_telephone_replaces_the_old_one(desk: Desk, second: int) -> None:
    """The old one is told not to come back; windows and other people stay."""
    here, there = desk.nodes[0].socket_url, desk.nodes[second].socket_url
    async with (
        raw(here) as old,
        raw(here) as browser,
        raw(here) as petro,
        raw(there) as new,
    ):
        token = desk.token(OKSANA)
        await old.hello(token, **phone("desk"))
        await browser.hello(token, **window("window"))
        await petro.hello(desk.token(PETRO), **phone("desk"))

        assert "ok" in await new.hello(token, **phone("laptop"))

        bye = await old.hear()
        assert bye == {
            "type": "bye", "code": 4011, "reason": "replaced", "resume": False, "retry_in": None,
        }  # fmt: skip
        assert await old.closed_with() == 4011
        assert all([await is_served(one) for one in (new, browser, petro)])
        assert desk.nodes[0].node.metrics.closes[4011] == 1


@pytest.mark.parametrize("second", [0, 1], ids=["the same node", "another node"])
async def test_a_device_that_comes_back_replaces_itself(desk: Desk, second: int) -> None:
    """After a change of network the older connection is only half dead: it is let go."""
    token = desk.token(OKSANA)
    async with (
        raw(desk.nodes[0].socket_url) as old,
        raw(desk.nodes[0].socket_url) as other,
        raw(desk.nodes[0].socket_url) as unnamed,
        raw(desk.nodes[second].socket_url) as new,
    ):
        await old.hello(token, **window("mine"))
        await other.hello(token, **window("another"))
        await unnamed.hello(token)

        assert "ok" in await new.hello(token, **window("mine"))

        assert await old.closed_with() == 4011
        assert all([await is_served(one) for one in (new, other, unnamed)])


async def test_a_device_at_the_limit_may_come_back(empty_desk: Desk) -> None:
    """Its own half-dead connection is not in its way."""
    node = await empty_desk.start_node(connections_per_user=1)
    token = empty_desk.token(OKSANA)
    async with raw(node.socket_url) as old, raw(node.socket_url) as new:
        await old.hello(token, **window("mine"))
        assert "ok" in await new.hello(token, **window("mine"))
        assert await old.closed_with() == 4011
        assert await is_served(new)
        await eventually(lambda: node.node.limits.connections.held_here(OKSANA) == 1)


async def test_which_kinds_are_replaced_is_a_setting(empty_desk: Desk) -> None:
    """None at all, or others than telephones."""
    node = await empty_desk.start_node(replaced_kinds=("mobile",))
    token = empty_desk.token(OKSANA)
    async with (
        raw(node.socket_url) as first,
        raw(node.socket_url) as second,
        raw(node.socket_url) as old,
        raw(node.socket_url) as new,
    ):
        await first.hello(token, **phone("a"))
        await second.hello(token, **phone("b"))
        await old.hello(token, device={"id": "c", "kind": "mobile"})
        await new.hello(token, device={"id": "d", "kind": "mobile"})

        assert await old.closed_with() == 4011
        assert all([await is_served(one) for one in (first, second, new)])


async def test_of_telephones_that_come_at_once_exactly_one_stays(desk: Desk) -> None:
    """On both nodes, many times over: never none, never two."""
    token = desk.token(OKSANA)
    nodes = [started.node for started in desk.nodes]
    gone: list[int] = []

    async def visit(number: int) -> None:
        async with raw(desk.nodes[number % 2].socket_url) as client:
            await client.say({"type": "hello", "id": 1, "token": token, **phone(f"{number}")})
            gone.append(await client.closed_with())

    for _ in range(5):
        gone.clear()
        visits = [asyncio.create_task(visit(number)) for number in range(8)]
        await eventually(lambda: len(gone) == 7)
        assert gone == [4011] * 7
        (left,) = [one for node in nodes for one in node.devices.sessions_of(OKSANA)]
        await eventually(lambda session=left: session.live)
        assert not left.closed
        for each in visits:
            each.cancel()
        await asyncio.gather(*visits, return_exceptions=True)
        await eventually(lambda: not any(node.sessions for node in nodes))


async def test_what_the_bus_lost_is_said_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that was deaf when a telephone moved hears of it once the bus is back."""
    token = desk.token(OKSANA)
    here, there = desk.nodes[0].node, desk.nodes[1].node
    async with raw(desk.nodes[0].socket_url) as old, raw(desk.nodes[1].socket_url) as new:
        await old.hello(token, **phone("desk"))
        with monkeypatch.context() as silence:
            silence.setattr(there.delivery.bus, "publish", lambda _announcements: None)
            await new.hello(token, **phone("laptop"))
            assert await is_served(new)  # what follows its welcome has been done
        assert await is_served(old)

        there.delivery.resynced()

        assert await old.closed_with() == 4011
        assert await is_served(new)
        assert here.metrics.closes[4011] == 1


async def test_the_older_one_is_told_by_the_newer_whatever_is_heard_last(desk: Desk) -> None:
    """An announcement that was on its way for long does not end who came later."""
    token = desk.token(OKSANA)
    node = desk.nodes[0].node
    async with raw(desk.nodes[0].socket_url) as new:
        await new.hello(token, **phone("laptop"))
        old = Announcement(
            f"user:{OKSANA}", ARRIVED, orjson.dumps([1_000, "ffff", "softphone", "desk"])
        )

        node.delivery.deliver(old)

        assert await is_served(new)


async def test_clients_hear_nothing_of_what_nodes_tell_each_other(desk: Desk) -> None:
    """The announcement is on the user's topic, and stays between nodes."""
    token = desk.token(OKSANA)
    async with (
        raw(desk.nodes[0].socket_url) as listens,
        raw(desk.nodes[1].socket_url) as arrives,
    ):
        await listens.hello(token, **window("one"))
        await arrives.hello(token, **window("two"))
        opened = {"type": "conversation.open", "id": 5, "employee_id": PETRO}
        await arrives.say(opened)
        heard = [await listens.hear()]  # published behind the arrival

        assert [one["type"] for one in heard] == ["conversation.created"]


async def test_clients_of_the_sdk_do_not_fight(desk: Desk) -> None:
    """The older one ends for good; it does not come back to replace the newer."""
    device = Device(id="desk-phone", kind="softphone")
    async with (
        connect(desk.nodes[0].socket_url, desk.token(OKSANA), device=device) as old,
        connect(desk.nodes[1].socket_url, desk.token(OKSANA), device=device) as new,
    ):
        assert isinstance(await old.next(), Bye)
        with pytest.raises(ConnectionEnded) as ended:
            await old.next()
        assert ended.value.code == 4011
        await new.request(UnreadGet())
        assert new.reconnects == 0
        assert [len(one.node.devices.sessions_of(OKSANA)) for one in desk.nodes] == [0, 1]


@pytest.mark.parametrize(
    "device",
    [
        {"id": "", "kind": "web"},
        {"id": "x" * 65, "kind": "web"},
        {"id": "a b", "kind": "web"},
        {"id": "a\x00", "kind": "web"},
        {"id": 'a","softphone', "kind": "web"},
        {"id": 7, "kind": "web"},
        {"id": "a", "kind": "fax"},
        {"id": "a", "kind": None},
        {"id": "a", "at_ms": 9_999_999_999_999},
        {"kind": "softphone"},
        "phone",
        [],
    ],
)
async def test_a_device_that_is_none_is_refused(desk: Desk, device: Any) -> None:
    """And nobody is let go for it; the same socket may say hello properly."""
    token = desk.token(OKSANA)
    async with raw(desk.nodes[0].socket_url) as old, raw(desk.nodes[0].socket_url) as client:
        await old.hello(token, **phone("a"))

        answer = await client.hello(token, device=device)

        assert answer["error"]["code"] == "command.invalid"
        assert answer["error"]["path"].startswith("device")
        assert await is_served(old)
        assert "ok" in await client.hello(token, **window("b"))
        assert await is_served(old)
