"""The checks of the messenger's run find what is wrong: each of them, when it is made wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from gateway.protocol import (
    Conversation,
    Employee,
    Message,
    MessageCreated,
    MessageReacted,
    Participant,
    ParticipantChanged,
    Reaction,
    Unread,
    UnreadChanged,
    UnreadTotal,
)
from loadtests.messenger.actions import Acknowledged
from loadtests.messenger.check import CHECKS, ObservedClient, Report, check
from loadtests.messenger.truth import RoomTruth, Truth
from loadtests.messenger.view import ClientView

ROOM, ONE, TWO, THREE = 1, 11, 12, 13
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TOTAL = UnreadTotal(messages=1, conversations=1, mentions=0)


def said(seq: int, sender_id: int, text: str) -> Message:
    return Message(
        conversation_id=ROOM,
        seq=seq,
        change=seq + 1,
        sender_id=sender_id,
        client_key=UUID(int=seq),
        text=text,
        created_at=NOON,
    )


def told(seq: int, event: str) -> Message:
    """Make a system message about the third one."""
    attrs = {"event": event, "by": ONE, "employee_ids": [THREE]}
    made = said(seq, ONE, "")
    return replace(made, sender_id=None, client_key=None, kind="system", attrs=attrs)


STORED = [
    said(1, ONE, "a"),
    said(2, TWO, "b"),
    said(3, ONE, "c"),
    told(4, "removed"),
    said(5, TWO, "d"),
]
"""The third one is taken out by change 6, between the last two."""
GONE = ParticipantChanged(
    conversation_id=ROOM,
    change=7,
    participant=Participant(
        employee=Employee(id=THREE, name="Three"), role="member", last_read_seq=0
    ),
    left=True,
)
LAST = replace(STORED[4], change=8)
HAND = MessageReacted(
    conversation_id=ROOM,
    change=9,
    seq=1,
    reactions=[Reaction(emoji="👍", count=1, employee_ids=[TWO])],
)


def events() -> list[Any]:
    made = [
        MessageCreated(conversation_id=ROOM, change=one.change, message=one) for one in STORED[:4]
    ]
    after = MessageCreated(conversation_id=ROOM, change=8, message=LAST)
    return [*made, replace(GONE, change=7), after, HAND]


def counted(unread: int, version: int) -> UnreadChanged:
    one = Unread(conversation_id=ROOM, unread=unread, mentions=0, last_read_seq=4, version=version)
    return UnreadChanged(total=TOTAL, conversations=[one])


def a_view(employee_id: int, received: list[Any]) -> ClientView:
    """Give the view of somebody who was there from the beginning."""
    view = ClientView(employee_id)
    seats = [
        Participant(employee=Employee(id=one, name=""), role="member", last_read_seq=0)
        for one in (ONE, TWO, THREE)
    ]
    nothing = Unread(conversation_id=ROOM, unread=0, mentions=0, last_read_seq=0, version=1)
    view.listed(
        Conversation(
            id=ROOM,
            kind="group",
            title="Room",
            participants=seats,
            participant_count=3,
            last_seq=0,
            last_change=1,
            last_message_at=NOON,
            unread=nothing,
        )
    )
    for event in received:
        view.take(event)
    if employee_id == ONE:
        view.take(counted(1, 9))
    return view


@dataclass
class CheckedRun:
    """What was stored, what devices heard, and what was promised."""

    truth: Truth
    received: dict[int, list[Any]] = field(
        default_factory=lambda: {ONE: events(), TWO: events(), THREE: events()[:5]}
    )
    pushed: list[Any] = field(default_factory=list)
    acknowledged: list[Acknowledged] = field(
        default_factory=lambda: [Acknowledged(ROOM, UUID(int=1), "a", None, 1)]
    )
    new_session: list[Any] = field(default_factory=events)

    def check(self) -> Report:
        witnesses = [
            ObservedClient(
                f"{one}", one, a_view(one, received), self.acknowledged if one == ONE else []
            )
            for one, received in self.received.items()
        ]
        for event in self.pushed:
            witnesses[0].view.take(event)
        fresh = {one: a_view(one, self.new_session) for one in (ONE, TWO)}
        fresh[THREE] = ClientView(THREE)
        return check(self.truth, witnesses, fresh, {ROOM: [ONE, TWO, THREE]})


@pytest.fixture
def world() -> CheckedRun:
    """Give one in which all is well."""
    row = {
        "title": "Room", "avatar_url": None, "closed_at": None, "history": "all",
        "last_seq": 5, "last_change": 9, "info_change": 1,
    }  # fmt: skip
    first = replace(STORED[0], reactions=HAND.reactions)
    seats = {
        one: {"role": "member", "joined_seq": 0, "left_seq": 4 if one == THREE else None}
        for one in (ONE, TWO, THREE)
    }
    room = RoomTruth(row, [first, *STORED[1:4], LAST], seats, [2, 3, 4, 5, 8, 7, 9, 1, 1])
    counts: dict[int, dict[int, tuple[int, int]]] = {ONE: {ROOM: (1, 0)}, TWO: {}, THREE: {}}
    none = UnreadTotal(messages=0, conversations=0, mentions=0)
    return CheckedRun(Truth({ROOM: room}, counts, {ONE: TOTAL, TWO: none, THREE: none}))


def a_message_is_missing(world: CheckedRun) -> None:
    del world.truth.rooms[ROOM].messages[2]


def two_rows_have_one_change(world: CheckedRun) -> None:
    world.truth.rooms[ROOM].changes.append(8)


def a_duplicate_was_inserted(world: CheckedRun) -> None:
    copy = replace(STORED[1], seq=6, client_key=UUID(int=99))
    world.truth.rooms[ROOM].messages.append(copy)
    world.truth.rooms[ROOM].row["last_seq"] = 6


def a_retry_got_another_number(world: CheckedRun) -> None:
    world.acknowledged.append(Acknowledged(ROOM, UUID(int=1), "a", None, 3))


def a_promise_was_not_kept(world: CheckedRun) -> None:
    world.acknowledged.append(Acknowledged(ROOM, UUID(int=77), "x", None, 6))


def another_text_was_stored(world: CheckedRun) -> None:
    world.acknowledged[0] = replace(world.acknowledged[0], text="not a")


def something_was_never_stored(world: CheckedRun) -> None:
    made_up = said(6, TWO, "boo")
    world.received[TWO].append(MessageCreated(conversation_id=ROOM, change=10, message=made_up))


def changes_came_in_another_order(world: CheckedRun) -> None:
    world.received[TWO][1:3] = reversed(world.received[TWO][1:3])


def a_view_drops_an_event(world: CheckedRun) -> None:
    del world.received[TWO][-1]


def a_view_keeps_who_has_left(world: CheckedRun) -> None:
    del world.received[TWO][4]


def a_session_fetches_too_little(world: CheckedRun) -> None:
    world.new_session = world.new_session[:-1]


def a_count_was_falsified(world: CheckedRun) -> None:
    world.pushed.append(counted(2, 10))


def a_total_was_falsified(world: CheckedRun) -> None:
    world.truth.totals[ONE] = replace(TOTAL, messages=7)


def a_lower_version_came_later(world: CheckedRun) -> None:
    world.pushed.append(counted(5, 4))


def one_version_has_two_counts(world: CheckedRun) -> None:
    world.pushed.append(counted(3, 9))


def who_was_removed_hears_on(world: CheckedRun) -> None:
    world.received[THREE].append(events()[5])


def who_was_removed_is_never_told(world: CheckedRun) -> None:
    del world.received[THREE][4]
    world.received[THREE].append(events()[5])


BROKEN: dict[Callable[[CheckedRun], None], str] = {
    a_message_is_missing: "gaps",
    two_rows_have_one_change: "gaps",
    a_duplicate_was_inserted: "duplicates",
    a_retry_got_another_number: "duplicates",
    a_promise_was_not_kept: "lost",
    another_text_was_stored: "lost",
    something_was_never_stored: "invented",
    changes_came_in_another_order: "disordered",
    a_view_drops_an_event: "views_differ",
    a_view_keeps_who_has_left: "views_differ",
    a_session_fetches_too_little: "fresh_differs",
    a_count_was_falsified: "counts_differ",
    a_total_was_falsified: "counts_differ",
    a_lower_version_came_later: "versions_backward",
    one_version_has_two_counts: "versions_backward",
    who_was_removed_hears_on: "seen_after_removal",
    who_was_removed_is_never_told: "seen_after_removal",
}


def test_where_all_is_well_nothing_is_found(world: CheckedRun) -> None:
    """Every check counts none."""
    assert world.check() == {name: [] for name in CHECKS}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_what_is_wrong_is_found(world: CheckedRun, broken: Callable[[CheckedRun], None]) -> None:
    """By the check that is for it."""
    broken(world)

    assert world.check()[BROKEN[broken]] != []


def test_every_check_has_been_seen_to_fail() -> None:
    """But for what is noted while it happens."""
    assert {*BROKEN.values(), "unexpected"} == CHECKS.keys()
