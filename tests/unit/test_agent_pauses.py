"""The latest event of an agent counts, in whatever order and however often events arrive."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from ingest.fold.agent_marks import current_marks
from ingest.framing.ami_messages import AmiParser
from ingest.model.agent_mark import AgentMark
from ingest.model.events import CallEvent
from ingest.model.snapshot import PbxSnapshot, QueueMember, StoredPbxState, catch_up
from ingest.normalise.asterisk import AsteriskNormaliser
from ingest.normalise.asterisk_snapshot import AsteriskSnapshot
from ingest.normalise.freeswitch import FreeswitchNormaliser

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NOTHING = StoredPbxState()


def at(minute: float) -> datetime:
    return NOON + timedelta(minutes=minute)


def sent(what: str, minute: float, queue: str | None = "sales", **attrs: Any) -> CallEvent:
    """Make an event of telephone 101."""
    return CallEvent(
        event_id=uuid4(), source="pbx", type=f"agent.{what}",  # type: ignore[arg-type]
        occurred_at=at(minute), queue=queue, extension="101", attrs=attrs,
    )  # fmt: skip


def mark(queue: str = "sales", **fields: Any) -> AgentMark:
    return AgentMark(telephone=("pbx", "101"), queue=queue, **fields)


STORIES = {
    "pauses that repeat are one": (
        [sent("paused", 1, reason="lunch"), sent("paused", 2, reason="lunch"), sent("paused", 3)],
        {"sales": mark(paused=True, paused_at=at(1), reason="lunch")},
    ),
    "ends that repeat are one": (
        [sent("paused", 1), sent("unpaused", 2), sent("unpaused", 4)],
        {"sales": mark(paused_at=at(2))},
    ),
    "after its end a pause begins anew": (
        [sent("paused", 1), sent("unpaused", 3), sent("paused", 5)],
        {"sales": mark(paused=True, paused_at=at(5))},
    ),
    "another reason is another pause": (
        [sent("paused", 1, reason="wrapup"), sent("paused", 2, reason="lunch")],
        {"sales": mark(paused=True, paused_at=at(2), reason="lunch")},
    ),
    "at one instant the old ends first": (
        [sent("unpaused", 5), sent("paused", 5), sent("paused", 1)],
        {"sales": mark(paused=True, paused_at=at(5))},
    ),
    "who logs off pauses no longer": (
        [sent("login", 1), sent("paused", 2), sent("logoff", 3)],
        {"sales": mark(logged_in=False, login_at=at(3), paused_at=at(3))},
    ),
    "without a queue it is said of all": (
        [sent("login", 0), sent("paused", 1), sent("unpaused", 2, None)],
        {
            "": mark("", paused_at=at(2)),
            "sales": mark(logged_in=True, login_at=at(0), paused_at=at(2)),
        },
    ),
    "one queue is taken up again": (
        [sent("login", 0), sent("paused", 1, None), sent("unpaused", 2)],
        {
            "": mark("", paused=True, paused_at=at(1)),
            "sales": mark(logged_in=True, login_at=at(0), paused_at=at(2)),
        },
    ),
    "who joins a queue may be paused already": (
        [sent("login", 1, paused=True, reason="late")],
        {"sales": mark(logged_in=True, login_at=at(1), paused=True, paused_at=at(1),
                       reason="late")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("story", STORIES)
def test_what_stands_does_not_depend_on_the_order(story: str) -> None:
    """Every permutation, with repetitions, and arriving one by one, leads to the same."""
    events, expected = STORIES[story]

    for order in itertools.permutations(events):
        assert current_marks([*order, random.choice(events)]) == expected
        known: dict[str, AgentMark] = {}
        for count in range(1, len(order) + 1):
            known = current_marks(order[:count], known)
        assert known == expected


def test_marks_without_new_events_stay() -> None:
    """A login too old to be read again is still in the mark."""
    known = {"sales": mark(logged_in=True, login_at=at(-9_000)), "other": mark("other")}

    found = current_marks([sent("paused", 1)], known)

    assert found["sales"].logged_in
    assert found["sales"].paused
    assert found["other"] == known["other"]


def ami(normaliser: AsteriskNormaliser, **fields: str) -> list[CallEvent]:
    raw = "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
    (message,) = AmiParser().feed(raw.encode())
    return normaliser.events(message, NOON)


def test_asterisk_tells_who_joins_a_queue_and_who_signs_in() -> None:
    """Members by their telephone, agents of AgentLogin by their number."""
    normaliser = AsteriskNormaliser("pbx")
    member = {"Queue": "sales", "Interface": "Local/101@agents/n"}

    (added,) = ami(normaliser, Event="QueueMemberAdded", Paused="0", **member)
    (paused,) = ami(normaliser, Event="QueueMemberAdded", Paused="1", PausedReason="late", **member)
    (removed,) = ami(normaliser, Event="QueueMemberRemoved", **member)
    (agent,) = ami(normaliser, Event="AgentLogin", Agent="102", Channel="PJSIP/102-1", Uniqueid="1")
    (watched,) = ami(
        normaliser, Event="QueueMemberAdded", Queue="sales", Interface="Agent/7",
        StateInterface="PJSIP/103",
    )  # fmt: skip

    assert (added.type, added.queue, added.extension) == ("agent.login", "sales", "101")
    assert "paused" not in added.attrs
    assert (paused.attrs["paused"], paused.attrs["reason"]) == (True, "late")
    assert (removed.type, removed.extension) == ("agent.logoff", "101")
    assert (agent.type, agent.extension, agent.keys) == ("agent.login", "102", [])
    assert watched.extension == "103"


def test_freeswitch_tells_an_agents_status() -> None:
    """It holds in every queue; an agent without a number has no telephone."""
    normaliser = FreeswitchNormaliser("fs")
    told = {"Event-Name": "CUSTOM", "Event-Subclass": "callcenter::info",
            "CC-Action": "agent-status-change", "Core-UUID": "c", "Event-Sequence": "7",
            "CC-Agent": "1001@default"}  # fmt: skip

    def types(**changes: str) -> list[tuple[str, str | None]]:
        events = normaliser.events({**told, **changes}, NOON)
        assert len({event.event_id for event in events}) == len(events)
        return [(event.type, event.extension) for event in events]

    assert types(**{"CC-Agent-Status": "Available"}) == [
        ("agent.login", "1001"), ("agent.unpaused", "1001"),
    ]  # fmt: skip
    assert types(**{"CC-Agent-Status": "On Break"})[1] == ("agent.paused", "1001")
    assert types(**{"CC-Agent-Status": "Logged Out"}) == [("agent.logoff", "1001")]
    assert types(**{"CC-Agent-Status": "Available", "CC-Agent": "anna"}) == []
    assert types(**{"CC-Agent-Status": "Dancing"}) == []


def snapshot(*members: QueueMember) -> PbxSnapshot:
    return PbxSnapshot(taken_at=at(10), members=members)


def caught(
    taken: PbxSnapshot, before: StoredPbxState, now: StoredPbxState
) -> list[tuple[str, str, datetime]]:
    """Return (type, extension, time) of the events that follow from a snapshot."""
    events = catch_up(taken, source="pbx", before=before, now=now, since=None)
    again = catch_up(taken, source="pbx", before=before, now=now, since=None)
    assert [event.event_id for event in events] == [event.event_id for event in again]
    assert {event.time_quality for event in events} <= {"derived"}
    return [(event.type, str(event.extension), event.occurred_at) for event in events]


def test_a_snapshot_shows_what_was_missed() -> None:
    """Logins, pauses and logoffs while nobody was connected; no events of other agents."""
    marks = {
        ("101", "sales"): mark(logged_in=True),
        ("102", "sales"): mark(logged_in=True, paused=True, paused_at=at(1), reason="lunch"),
        ("103", "sales"): mark(logged_in=True),
        ("104", "sales"): mark(logged_in=True, paused=True, paused_at=at(2)),
    }
    held = StoredPbxState(marks=marks)
    taken = snapshot(
        QueueMember(extension="101", queue="sales", paused=True, reason="lunch", paused_at=at(4)),
        QueueMember(extension="102", queue="sales", paused=False),
        QueueMember(extension="104", queue="sales", paused=True, paused_at=at(2)),
        QueueMember(extension="105", queue="sales", paused=False, login_at=at(5)),
    )

    assert caught(taken, held, held) == [
        ("agent.paused", "101", at(4)),
        ("agent.unpaused", "102", at(10)),
        ("agent.login", "105", at(5)),
        ("agent.logoff", "103", at(10)),
    ]
    assert caught(PbxSnapshot(taken_at=at(10)), held, held) == []


def test_an_event_received_meanwhile_is_newer_than_the_answer() -> None:
    """An agent who paused between request and answer stays paused."""
    before = StoredPbxState(marks={("101", "sales"): mark(logged_in=True)})
    now = StoredPbxState(
        marks={("101", "sales"): mark(logged_in=True, paused=True, paused_at=at(9))}
    )

    assert (
        caught(snapshot(QueueMember(extension="101", queue="sales", paused=False)), before, now)
        == []
    )


def test_asterisks_list_of_members_is_read() -> None:
    """Paused since when and why; a time of 0 is none; what is no telephone is left out."""
    asking = AsteriskSnapshot("pbx", "t")
    told = (
        ("101", "Paused: 1\r\nPausedReason: Lunch\r\nLastPause: 1772452800\r\nLoginTime: 0"),
        ("102", "Paused: 0\r\nLastPause: 1772452800\r\nLoginTime: 1772450000"),
        ("trunk", "Paused: 0"),
    )
    for extension, more in told:
        raw = (
            "Event: QueueMember\r\nActionID: t-QueueStatus\r\nQueue: sales\r\n"
            f"Location: PJSIP/{extension}\r\n{more}\r\n\r\n"
        )
        (message,) = AmiParser().feed(raw.encode())
        assert asking.accept(message)

    first, second = asking.result(NOON).members or ()

    assert (first.extension, first.paused, first.reason) == ("101", True, "Lunch")
    assert (first.paused_at, first.login_at) == (datetime(2026, 3, 2, 12, tzinfo=UTC), None)
    assert (second.paused, second.paused_at) == (False, None)
    assert second.login_at is not None
