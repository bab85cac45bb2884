"""The table of a worker's deliveries: who gets which announcement."""

from __future__ import annotations

from typing import Any, cast

import pytest

from gateway import topics
from gateway.bus import Announcement
from gateway.bus.memory import MemoryBroker, MemoryBus
from gateway.delivery.delivery import Delivery


def event(topic: str, type_: str = "message.created", change: int = 0) -> Announcement:
    return Announcement(topic, type_, b"{}", change)


class Heard:
    """Takes the announcements of one row of the table."""

    def __init__(self) -> None:
        self.types: list[str] = []

    def __call__(self, announcement: Announcement) -> None:
        self.types.append(announcement.type)


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("user:17", topics.USER),
        ("conversation:5", topics.CONVERSATION),
        ("presence:255", topics.PRESENCE),
        ("queues", topics.QUEUES),
        ("queues:calls", topics.QUEUE_CALLS),
        ("callbacks", "callbacks"),
    ],
)
def test_every_topic_has_a_kind(topic: str, kind: str) -> None:
    """What stands before its number; a topic without a number is its own kind."""
    assert topics.kind_of(topic) == kind


def test_an_announcement_goes_to_its_row_or_to_the_hub() -> None:
    """A row for the event's type on that kind of topic goes before one for the kind."""
    delivery, of_kind, of_event, hub = Delivery(), Heard(), Heard(), Heard()
    delivery.handle_topic(topics.PRESENCE, of_kind)
    delivery.handle_event(topics.USER, "session.arrived", of_event)
    cast(Any, delivery.hub).deliver = hub

    for topic, type_ in (
        ("presence:1", "presence.changed"),
        ("user:1", "session.arrived"),
        ("user:1", "draft.changed"),
        ("conversation:1", "typing.started"),
        ("callbacks", "callback.changed"),
        ("conversation:1", "session.arrived"),
    ):
        delivery.deliver(event(topic, type_))

    assert of_kind.types == ["presence.changed"]
    assert of_event.types == ["session.arrived"]
    assert hub.types == [
        "draft.changed", "typing.started", "callback.changed", "session.arrived"
    ]  # fmt: skip


def test_a_numbered_event_goes_through_its_stream() -> None:
    """In order, once; what nobody here listens to has no stream."""
    delivery, hub = Delivery(), Heard()
    delivery.streams._deliver = hub
    delivery.streams.open(1)
    delivery.streams.start_at({1: 4})

    for change in (5, 5, 7, 6):
        delivery.deliver(event("conversation:1", f"e{change}", change))
    delivery.deliver(event("conversation:2", "nobody", 1))

    assert hub.types == ["e5", "e6", "e7"]
    assert delivery.streams.duplicates == 1


def test_a_row_has_one_owner() -> None:
    """Two owners of a topic would take each other's events."""
    delivery = Delivery()
    delivery.handle_topic(topics.QUEUES, Heard())
    with pytest.raises(AssertionError, match="queues"):
        delivery.handle_topic(topics.QUEUES, Heard())


async def test_what_is_published_is_delivered_here_and_on_other_nodes() -> None:
    """Here at once; there through the bus, and after a loss everything is compared."""
    broker, one, other, heard, resynced = MemoryBroker(), Delivery(), Delivery(), Heard(), Heard()
    for delivery in (one, other):
        delivery.connect(MemoryBus(broker, deliver=delivery.deliver, resynced=delivery.resynced))
        delivery.handle_topic("callbacks", heard)
    await other.bus.subscribe(["callbacks"])
    other.on_resync(lambda: resynced(event("", "resynced")))

    one.publish([event("callbacks", "callback.changed")])
    cast(MemoryBus, other.bus).resynced()

    assert heard.types == ["callback.changed"] * 2
    assert resynced.types == ["resynced"]
