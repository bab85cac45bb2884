"""What travels between nodes: one announcement after the other in one message."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from gateway.bus.announcement import Announcement, announce
from gateway.bus.publisher import MESSAGE_BYTES, _coalesce
from gateway.bus.routing import Routing
from gateway.protocol import (
    ConversationCreated,
    ConversationMineChanged,
    ConversationUpdated,
    Employee,
    Message,
    MessageCreated,
    MessageDeleted,
    MessageReacted,
    MessageUpdated,
    Mine,
    Participant,
    ParticipantChanged,
    ReceiptWasRead,
    TypingStarted,
)

TOPIC = "conversation:1"


def said(payload: bytes = b"{}", *, topic: str = TOPIC, change: int = 0) -> Announcement:
    return Announcement(topic, "message.created", payload, change, by=7)


def test_several_are_read_as_they_were_written() -> None:
    """Whatever their events hold, also new lines and what looks like a head."""
    written = [said(change=1), said(b'["x",0,0,2]\n{}', change=2), said(b"", change=3)]

    read = Announcement.from_wire(TOPIC, b"".join(one.to_wire() for one in written))

    assert read == written


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no head at all",
        b"nonsense\n{}",
        b'["message.created",0,0]\n{}',
        b'["message.created",0,0,3]\n{}',
        b'["message.created",0,0,-5]\n{}',
        b'["message.created",0,0,"2"]\n{}',
        b"[1,0,0,2]\n{}",
        b'["message.created",0,0,2]\n{} and more',
        b'["message.created",0,0,2]\n{}["message.created",0,0,2',
    ],
)
def test_what_is_anything_else_is_refused(data: bytes) -> None:
    """As a whole: half of it may not be what somebody meant."""
    with pytest.raises(ValueError, match=r"."):
        Announcement.from_wire(TOPIC, data)


def test_what_follows_on_one_topic_is_said_in_one_breath() -> None:
    """In the order in which it was said, and no longer than a breath is."""
    other = said(topic="conversation:2")
    large = said(b"x" * (MESSAGE_BYTES - 3))

    found = list(_coalesce([said(), said(), other, said(), large, said(), said()]))

    assert [[one.topic[-1] for one in breath] for breath in found] == [
        ["1", "1"], ["2"], ["1", "1"], ["1", "1"],
    ]  # fmt: skip
    assert [sum(len(one.payload) for one in breath) for breath in found] == [
        4, 2, MESSAGE_BYTES - 1, 4,
    ]  # fmt: skip


def test_an_announcement_longer_than_a_breath_is_said_alone() -> None:
    """It is one message, as it always was."""
    large = said(b"x" * (MESSAGE_BYTES + 1))

    assert [len(breath) for breath in _coalesce([said(), large, large, said()])] == [1, 1, 1, 1]


def old_version_reads(data: bytes) -> tuple[str, int, int, bytes]:
    """Read one announcement as nodes of the version before do: exactly four elements."""
    line = data.index(b"\n")
    type_, change, by, size = orjson.loads(data[:line])
    return type_, change, by, data[line + 1 : line + 1 + size]


def test_nodes_of_the_last_version_read_what_is_written() -> None:
    """During a rolling upgrade both versions share the bus."""
    written = announce(TOPIC, ReceiptWasRead(conversation_id=1, employee_id=7, seq=3), by=7)

    assert old_version_reads(written.to_wire()) == (
        "receipt.read", 0, 7, written.payload
    )  # fmt: skip


def test_a_later_version_may_write_more() -> None:
    """Further elements of the head are ignored."""
    data = b'["typing.started",0,7,2,{"later":1}]\n{}'

    assert Announcement.from_wire(TOPIC, data) == [
        Announcement(TOPIC, "typing.started", b"{}", by=7)
    ]


MOMENT = datetime(2026, 1, 2, tzinfo=UTC)
PERSON = Participant(employee=Employee(id=8, name="Petro"), role="member", last_read_seq=0)


def message(**fields: Any) -> Message:
    return Message(
        conversation_id=5, seq=9, change=30, sender_id=8, client_key=None, text="hi",
        created_at=MOMENT, **fields,
    )  # fmt: skip


ROUTED = [
    (MessageCreated(conversation_id=5, change=30, message=message()), Routing()),
    (
        MessageCreated(
            conversation_id=5,
            change=30,
            message=message(kind="system", attrs={"event": "removed", "employee_ids": [8, 11]}),
        ),
        Routing(removed_ids=[8, 11]),
    ),
    (
        MessageCreated(
            conversation_id=5,
            change=30,
            message=message(kind="system", attrs={"event": "added", "employee_ids": [8]}),
        ),
        Routing(),
    ),
    (MessageUpdated(conversation_id=5, change=30, message=message()), Routing(seq=9)),
    (MessageDeleted(conversation_id=5, change=30, message=message()), Routing(seq=9)),
    (MessageReacted(conversation_id=5, change=30, seq=9, reactions=[]), Routing(seq=9)),
    (
        ReceiptWasRead(conversation_id=5, employee_id=7, seq=3),
        Routing(conversation_id=5, employee_id=7),
    ),
    (
        ConversationCreated(
            conversation_id=5,
            change=1,
            kind="group",
            participants=[PERSON],
            participant_count=1,
            last_message_at=MOMENT,
        ),
        Routing(conversation_id=5, change=1),
    ),
    (
        ConversationUpdated(conversation_id=5, change=30, history="joined"),
        Routing(joined_history=True),
    ),
    (ConversationUpdated(conversation_id=5, change=30, history="all"), Routing()),
    (
        ConversationMineChanged(conversation_id=5, mine=Mine(version=3)),
        Routing(conversation_id=5),
    ),
    (
        ParticipantChanged(conversation_id=5, change=30, participant=PERSON, left=True),
        Routing(conversation_id=5, employee_id=8),
    ),
    (
        ParticipantChanged(conversation_id=5, change=30, participant=PERSON, left=False),
        Routing(conversation_id=5),
    ),
    (TypingStarted(conversation_id=5, employee_id=7), Routing()),
]


@pytest.mark.parametrize(("event", "routing"), ROUTED, ids=lambda one: getattr(one, "type", ""))
def test_an_event_is_routed_alike_here_and_on_other_nodes(event: Any, routing: Routing) -> None:
    """Here by its fields, there by its JSON."""
    here = announce(TOPIC, event, change=1)
    [there] = Announcement.from_wire(TOPIC, here.to_wire())

    assert here.routing == routing
    assert there.routing == routing
    assert here == there
