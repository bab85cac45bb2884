"""Presence of colleagues on its way to those who watch them, and to those who read slowly."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from gateway import topics
from gateway.bus import Announcement
from gateway.context import Context
from gateway.delivery import lanes
from gateway.delivery.delivery import Delivery
from gateway.delivery.shared_frame import SharedFrame, text_frame
from gateway.protocol import Presence
from gateway.sockets.outgoing.sender import Cork, Sender
from gateway.sockets.watch import presence
from gateway.sockets.watch.presence import PresenceWatches
from tests.unit.test_sender import FakeTransport

OKSANA, PETRO = 1, 2


class SlowReader:
    """A watcher whose socket takes nothing until the test says so."""

    closed = False
    context: Context | None = None
    live = True
    user_id = 7

    def __init__(self, cork: Cork) -> None:
        self.transport = FakeTransport()
        self.sender = Sender(
            cast(Any, self.transport), cork, limit_bytes=10_000, on_overflow=self.overflowed
        )
        self.watched: frozenset[int] = frozenset()
        self.given_up = False

    @property
    def full(self) -> bool:
        return self.sender.full

    def deliver(self, frame: SharedFrame) -> None:
        self.sender.send_shared(frame)

    def send_event(self, event: object) -> None:
        raise AssertionError(event)

    def overflowed(self) -> None:
        self.given_up = True


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "CONFLATE_S", 0.01)


async def nobody(employee_ids: Collection[int]) -> list[Presence]:
    """Read nobody's presence: here only changes matter."""
    return []


def changed(employee_id: int, version: int) -> Announcement:
    """Return the presence of an employee as another node announces it."""
    item = {
        "employee_id": employee_id, "status": "available", "since": None, "text": None,
        "version": version, "until": None, "last_seen": None,
    }  # fmt: skip
    payload = orjson.dumps({"type": "presence.changed", "presences": [item], "degraded": False})
    return Announcement(topics.presence(employee_id), "presence.changed", payload)


def versions(written: bytes) -> list[tuple[int, int]]:
    """Return (employee, version) of each presence in these frames, in order."""
    found = []
    for part in written.split(b'{"type":"presence.changed"')[1:]:
        body = part[part.index(b"[") : part.index(b"]") + 1]
        found += [(one["employee_id"], one["version"]) for one in orjson.loads(body)]
    return found


async def test_a_slow_reader_gets_the_newest_presence_only(quick: None) -> None:
    """While it reads nothing, its changes are conflated for each person."""
    cork = Cork()
    delivery, reader = Delivery(), SlowReader(cork)
    watches = PresenceWatches(delivery, read=nobody, on_presences=lambda _: None)
    watches.watch(reader, [OKSANA, PETRO])
    reader.sender.pause()
    for version in range(1, 6):
        delivery.deliver(changed(OKSANA, version))
        delivery.deliver(changed(PETRO, version))
        await asyncio.sleep(0.02)
    assert reader.sender.waiting_bytes == 0

    reader.sender.resume()
    await asyncio.sleep(0.03)

    assert versions(b"".join(reader.transport.writes)) == [(OKSANA, 5), (PETRO, 5)]


@pytest.mark.parametrize("between_s", [0.0, 0.03], ids=["in one frame", "in two frames"])
async def test_a_change_that_was_announced_late_replaces_no_newer_one(
    quick: None, between_s: float
) -> None:
    """A node that stood still announces that somebody has gone, who came back on another node."""
    cork = Cork()
    delivery, reader = Delivery(), SlowReader(cork)
    watches = PresenceWatches(delivery, read=nobody, on_presences=lambda _: None)
    watches.watch(reader, [OKSANA, PETRO])
    reader.sender.pause()

    for version in (7, 6):
        delivery.deliver(changed(OKSANA, version))
        await asyncio.sleep(between_s)
        delivery.deliver(changed(PETRO, version))
    await asyncio.sleep(0.03)
    reader.sender.resume()
    await asyncio.sleep(0.03)

    assert set(versions(b"".join(reader.transport.writes))) == {(OKSANA, 7), (PETRO, 7)}


async def test_a_person_who_is_watched_again_is_delivered_in_any_version(quick: None) -> None:
    """What was delivered to former watchers is forgotten with the last of them."""
    delivery, reader = Delivery(), SlowReader(Cork())
    cast(Any, delivery).bus = SimpleNamespace(unsubscribe=lambda _: None)
    watches = PresenceWatches(delivery, read=nobody, on_presences=lambda _: None)
    watches.watch(reader, [OKSANA])
    delivery.deliver(changed(OKSANA, 7))
    watches.watch(reader, [])
    watches.watch(reader, [OKSANA])
    await asyncio.sleep(0.03)
    reader.transport.writes.clear()

    delivery.deliver(changed(OKSANA, 3))
    await asyncio.sleep(0.03)

    assert versions(b"".join(reader.transport.writes)) == [(OKSANA, 3)]


async def test_presence_is_the_first_to_be_dropped() -> None:
    """It waits in the passing lane: it replaces itself, goes last, and never ends a connection."""
    cork = Cork()
    reader = SlowReader(cork)
    watches = PresenceWatches(Delivery(), read=nobody, on_presences=lambda _: None)
    watches.watch(reader, [OKSANA])
    reader.sender.pause()
    message = SharedFrame(b'{"type":"message.created"}', lanes.lane_of("message.created"))

    for number in range(300):
        watches.set_degraded(degraded=number % 2 == 0)
    reader.deliver(message)

    assert reader.sender.waiting_bytes == len(message.plain), "presence does not count"
    assert cork.dropped[lanes.PASSING] == 299
    await asyncio.sleep(0)
    assert not reader.given_up
    reader.sender.resume()
    last = b'{"type":"presence.changed","presences":[],"degraded":false}'
    assert b"".join(reader.transport.writes) == message.plain + text_frame(last)
