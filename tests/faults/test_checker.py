"""The checker finds what is wrong: a good history passes, and one mutant for each rule does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from gateway.protocol import Message, UnreadTotal
from loadtests.messenger.truth import RoomTruth, Truth
from loadtests.messenger.view import ClientView
from tests.faults.case import CheckLimits
from tests.faults.checker import RULES, check
from tests.faults.history import (
    History,
    InjectedFault,
    Notice,
    ObservedSession,
    Sent,
)
from tests.faults.received_events import ReceivedEvent, ReceivedEvents
from tests.faults.starvation import OBSERVER

ROOM, VISITED = 1, 2
ONE, TWO, THREE = 11, 12, 13
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FAULT = InjectedFault(0, "fault 0, redis_cut on worker 1", "redis_cut", 0, 10.0, 12.0, trace=3)
BOUNDS = CheckLimits(acks=3, received=3)
END = 60.0


def text(cid: int, seq: int) -> str:
    return f"said {cid}/{seq}"


def message(cid: int, seq: int, sender_id: int) -> Message:
    return Message(
        conversation_id=cid,
        seq=seq,
        change=seq + 1,
        sender_id=sender_id,
        client_key=UUID(int=cid * 100 + seq),
        text=text(cid, seq),
        created_at=NOON,
    )


def told(seq: int, event: str) -> Message:
    """Make a system message of the visited conversation about the third one."""
    attrs = {"event": event, "by": ONE, "employee_ids": [THREE]}
    made = message(VISITED, seq, ONE)
    return replace(made, sender_id=None, client_key=None, kind="system", attrs=attrs, text="")


def good() -> tuple[History, Truth]:
    """Three messages in one conversation, one of them during a fault, and a visitor in another."""
    rooms = {
        ROOM: [message(ROOM, 1, ONE), message(ROOM, 2, TWO), message(ROOM, 3, ONE)],
        VISITED: [
            message(VISITED, 1, ONE),
            told(2, "removed"),
            message(VISITED, 3, ONE),
            told(4, "joined"),
        ],
    }
    truth = Truth(
        {
            cid: RoomTruth(
                {"last_seq": len(messages), "last_change": len(messages) + 1, "history": "all"},
                messages,
                changes=[one.change for one in messages],
            )
            for cid, messages in rooms.items()
        },
        {who: {} for who in (ONE, TWO, THREE)},
        {who: UnreadTotal(messages=0, conversations=0, mentions=0) for who in (ONE, TWO, THREE)},
    )
    history = History(
        members={ROOM: (ONE, TWO), VISITED: (ONE,)},
        visitors={VISITED: (THREE,)},
        faults=[FAULT],
        ended_at=END,
        views={who: ClientView(who) for who in (ONE, TWO, THREE)},
        shown={ONE: {TWO: "online", THREE: "online"}},
        notices=[Notice(ONE, TWO, "online", 1.0)],
        present=frozenset({ONE, TWO, THREE}),
    )
    positions = {ROOM: 1, VISITED: 1}
    history.sessions = [
        ObservedSession(0, ONE, 0, 0.0, positions, frozenset(positions)),
        ObservedSession(1, TWO, 1, 0.0, {ROOM: 1}, frozenset({ROOM}), ended_at=20.0),
        ObservedSession(2, TWO, 0, 21.0, {ROOM: 3}),
        ObservedSession(3, THREE, 1, 0.0, {VISITED: 1}, frozenset({VISITED})),
    ]
    for cid, seq, who, at in (
        (ROOM, 1, ONE, 5.0), (ROOM, 2, TWO, 11.0), (ROOM, 3, ONE, 20.5), (VISITED, 1, ONE, 6.0),
        (VISITED, 3, ONE, 8.0),
    ):  # fmt: skip
        key = UUID(int=cid * 100 + seq)
        during = FAULT.name if at == 11.0 else ""
        history.sent.append(
            Sent(who, cid, key, text(cid, seq), at, during, "ok", ended_at=at + 0.1, seq=seq)
        )
    history.sent.append(Sent(THREE, ROOM, UUID(int=999), "refused", 7.0, "", "fail", 7.1))
    history.sent.append(Sent(ONE, ROOM, UUID(int=998), "unknown", 7.0, "", "info"))
    for session, who, cid, seq, at in (
        (0, ONE, ROOM, 1, 5.1), (1, TWO, ROOM, 1, 5.1), (0, ONE, VISITED, 1, 6.1),
        (3, THREE, VISITED, 1, 6.1), (0, ONE, VISITED, 2, 7.0), (0, ONE, VISITED, 3, 8.1),
        (0, ONE, VISITED, 4, 9.0), (3, THREE, VISITED, 4, 9.0), (0, ONE, ROOM, 2, 11.1),
        (1, TWO, ROOM, 2, 13.0), (0, ONE, ROOM, 3, 20.6), (2, TWO, ROOM, 3, 21.0),
    ):  # fmt: skip
        row = rooms[cid][seq - 1]
        history.received.append(
            ReceivedEvent(
                session, who, cid, seq + 1, at, "live",
                seq=seq, key=row.client_key, text=row.text,
            )
        )  # fmt: skip
    return history, truth


def test_a_good_history_violates_nothing() -> None:
    """Delivered live, late by a fault, and by resume; refused and unknown; away for a while."""
    assert check(*good(), BOUNDS) == {name: [] for name in RULES}


Mutate = Callable[[History, Truth], Any]


def swap(history: History, first: int, second: int) -> None:
    received = history.received
    received[first], received[second] = received[second], received[first]


def lose_row(history: History, truth: Truth) -> None:
    """Take the last message out of the database, and out of what was heard of it."""
    room = truth.rooms[ROOM]
    room.messages.pop()
    room.row = {**room.row, "last_seq": 2}
    history.received = ReceivedEvents(
        one for one in history.received if (one.conversation_id, one.seq) != (ROOM, 3)
    )


def store_again(truth: Truth, said: str, sender_id: int) -> None:
    """Store something once more, under another key, as if it had been sent by mistake."""
    room = truth.rooms[VISITED]
    room.messages.append(replace(message(VISITED, 5, sender_id), text=said))
    room.row = {**room.row, "last_seq": 5, "last_change": 6}


def forget_heard(history: History, index: int) -> None:
    del history.received[index]


def hear_with_the_next(history: History) -> None:
    """Have the other reader be told its first message only by its second connection."""
    history.received.append(replace(history.received.pop(1), session=2, at=22.0))


def delay(history: History, index: int, at: float) -> None:
    history.received[index] = replace(history.received[index], at=at)


def miscount(history: History) -> None:
    history.views[TWO].total = UnreadTotal(messages=1, conversations=1, mentions=0)


MUTANTS: dict[str, tuple[str, Mutate]] = {
    "an acknowledged message is gone": ("lost", lose_row),
    "an acknowledged message says something else": (
        "lost",
        lambda h, t: setattr(h.sent[0], "text", "something else"),
    ),
    "a retry is stored twice": ("duplicated", lambda h, t: store_again(t, text(ROOM, 1), ONE)),
    "a refused message is stored": ("refused", lambda h, t: store_again(t, "refused", THREE)),
    "an unforeseen refusal": ("refused", lambda h, t: h.refusals.update(internal=1)),
    "a number is missing": (
        "numbers",
        lambda h, t: t.rooms[ROOM].row.update(last_seq=4),
    ),
    "a change is there twice": ("numbers", lambda h, t: t.rooms[ROOM].changes.append(3)),
    "what was said later stands before": (
        "realtime",
        lambda h, t: setattr(h.sent[2], "ended_at", 3.0),
    ),
    "two changes change places": ("order", lambda h, t: swap(h, 4, 5)),
    "a message is announced twice": (
        "order",
        lambda h, t: h.received.insert(9, h.received[8]),
    ),
    "a message is passed over": ("gap", lambda h, t: forget_heard(h, 4)),
    "what is passed over comes with the next connection": (
        "gap",
        lambda h, t: hear_with_the_next(h),
    ),
    "other words are heard than stored": (
        "content",
        lambda h, t: h.received.insert(0, replace(h.received.pop(0), text="other words")),
    ),
    "something is heard that is not stored": (
        "content",
        lambda h, t: h.received.append(replace(h.received[-2], seq=9, change=10)),
    ),
    "the last message of a conversation never comes": (
        "undelivered",
        lambda h, t: forget_heard(h, 10),
    ),
    "nor does it to one who has come back": ("undelivered", lambda h, t: forget_heard(h, 11)),
    "a message comes late after a fault": ("late", lambda h, t: delay(h, 9, 17.5)),
    "a message comes late without one": ("late", lambda h, t: delay(h, 10, 26.0)),
    "one who was taken out hears": (
        "trespass",
        lambda h, t: h.received.append(replace(h.received[5], session=3, reader=THREE)),
    ),
    "one who was never in it hears": (
        "trespass",
        lambda h, t: h.received.append(replace(h.received[0], session=3, reader=THREE)),
    ),
    "a count is wrong": ("unread", lambda h, t: miscount(h)),
    "somebody here is shown as gone": (
        "presence",
        lambda h, t: h.shown[ONE].update({TWO: "offline"}),
    ),
    "somebody gone is shown as here": (
        "presence",
        lambda h, t: setattr(h, "present", frozenset({ONE, THREE})),
    ),
    "somebody connected is announced offline": (
        "offline",
        lambda h, t: h.notices.append(Notice(ONE, THREE, "offline", 30.0)),
    ),
    "somebody stays away for long": (
        "absent",
        lambda h, t: setattr(h.sessions[2], "began_at", 55.0),
    ),
    "a fault does nothing": ("vacuity", lambda h, t: h.faults.append(replace(FAULT, trace=0))),
    "hardly anything is acknowledged": ("vacuity", lambda h, t: h.sent.clear()),
    "the laboratory itself is starved": (
        "vacuity",
        lambda h, t: h.starved.add(0.0, END, {OBSERVER: END / 2}),
    ),
    "nothing strikes": ("vacuity", lambda h, t: h.faults.clear()),
    "nothing is sent during a fault": (
        "vacuity",
        lambda h, t: setattr(h.sent[1], "during", ""),
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_each_mutant_is_named_by_its_rule(name: str) -> None:
    """One thing is wrong, and the rule it breaks says so."""
    rule, mutate = MUTANTS[name]
    history, truth = good()

    mutate(history, truth)

    assert check(history, truth, BOUNDS)[rule]


def test_every_rule_has_a_mutant() -> None:
    """A rule that nothing can break is none."""
    assert {rule for rule, _ in MUTANTS.values()} == set(RULES)


def test_what_nobody_knows_is_neither_success_nor_failure() -> None:
    """A message whose outcome is unknown may be stored, once."""
    history, truth = good()
    store_again(truth, "unknown", ONE)
    history.received.append(
        ReceivedEvent(0, ONE, VISITED, 6, 30.0, "live", seq=5, key=UUID(int=205), text="unknown")
    )

    assert check(history, truth, BOUNDS) == {name: [] for name in RULES}


def test_what_was_heard_after_the_database_was_read_is_not_looked_up_in_it() -> None:
    """Somebody's last message may be stored while the run is being judged."""
    history, truth = good()
    history.received.append(
        ReceivedEvent(0, ONE, ROOM, 9, 50.0, "live", seq=8, key=UUID(int=108), text="at last")
    )
    assert check(history, truth, BOUNDS)["content"]

    history.read_at = 49.0
    assert not check(history, truth, BOUNDS)["content"]


def test_who_is_out_of_reach_for_a_lease_may_be_announced_offline() -> None:
    """Stopped for longer than the lease, a worker's people are; those of another are not."""
    history, truth = good()
    history.faults = [replace(FAULT, kind="stop_worker", worker=1, ended_at=19.0)]
    history.notices.append(Notice(ONE, THREE, "offline", 19.5))
    assert not check(history, truth, BOUNDS)["offline"]

    history.faults = [replace(FAULT, kind="stop_worker", worker=0, ended_at=19.0)]
    history.notices.append(Notice(ONE, THREE, "offline", 30.0))
    assert check(history, truth, BOUNDS)["offline"]


def test_what_is_late_because_a_process_was_starved_is_not_late() -> None:
    """Only the wait for a processor is forgiven, and only of the time on its way."""
    history, truth = good()
    sent = ONE, ROOM, 3
    last = next(
        n
        for n, one in enumerate(history.received)
        if (one.reader, one.conversation_id, one.seq) == sent
    )
    history.received[last] = replace(history.received[last], at=20.6 + BOUNDS.deliver_s + 4.0)
    assert check(history, truth, BOUNDS)["late"]

    history.starved.add(10.0, 20.4, {"worker 2": 9.0})
    history.starved.add(21.0, 24.0, {"Redis": 2.0})
    assert check(history, truth, BOUNDS)["late"], "another time, or less than it was late"

    history.starved.add(21.0, 28.0, {"worker 1": 4.5})
    assert not check(history, truth, BOUNDS)["late"]


def test_a_state_that_is_told_again_announces_nobody() -> None:
    """A watcher that is told the last known state a second time has learned nothing new."""
    history, truth = good()
    history.notices.append(Notice(ONE, THREE, "offline", 30.0, news=False))
    assert not check(history, truth, BOUNDS)["offline"]


def test_who_was_starved_tells_late_who_is_there() -> None:
    """Somebody who came to a starved worker is expected to be known so much later."""
    history, truth = good()
    history.sessions[3].began_at = 23.0
    history.notices.append(Notice(ONE, THREE, "offline", 30.0))
    assert check(history, truth, BOUNDS)["offline"]

    history.starved.add(24.0, 29.0, {"worker 2": 5.0})
    assert not check(history, truth, BOUNDS)["offline"]
