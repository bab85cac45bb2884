"""Who meets in a Twilio conference talks in one call: for every order, and only while together."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from ingest import InvalidCallback, twilio_events
from ingest.model.call_state import CallState
from ingest.model.events import CallEvent
from tests.support.call_truth import calls_of
from tests.support.scripted_pbx import leg_of_extension

T0 = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
ROOM, CALLER, AGENT, OTHER = "CFroom", "CAcaller", "CAagent", "CAother"
NUMBER, OURS = "+380671234567", "+380441110001"
PLACED = {"Direction": "outbound-api", "From": OURS}

Told = dict[str, str]


def said(at: float, **fields: str) -> Told:
    """Return the fields of a callback; times are whole seconds."""
    stamp = (T0 + timedelta(seconds=int(at))).strftime("%a, %d %b %Y %H:%M:%S +0000")
    return {"AccountSid": "AC0", "ApiVersion": "2010-04-01", "Timestamp": stamp, **fields}


class Meeting:
    """What Twilio tells of one conference and of the calls in it."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self._parties: dict[str, Told] = {}
        self._numbers = itertools.count(1)

    def leg(self, at: float, sid: str, status: str, **fields: str) -> None:
        """Say what became of a call; who calls whom is said once and stays."""
        inbound = {"Direction": "inbound", "From": NUMBER, "To": OURS}
        parties = self._parties.setdefault(sid, inbound if sid == CALLER else PLACED)
        self._parties[sid] = parties = {**parties, **fields}
        number = {"initiated": "0", "ringing": "1", "in-progress": "2"}.get(status, "3")
        self.told.append(
            said(at, CallSid=sid, CallStatus=status, SequenceNumber=number,
                 CallbackSource="call-progress-events", **parties)
        )  # fmt: skip

    def participant(self, at: float, sid: str, what: str, **fields: str) -> None:
        plain = {"Muted": "false", "Hold": "false", "Coaching": "false", "FriendlyName": "room"}
        self.told.append(
            said(
                at,
                ConferenceSid=ROOM,
                StatusCallbackEvent=f"participant-{what}",
                SequenceNumber=str(next(self._numbers)),
                CallSid=sid,
                **{**plain, **fields},
            )
        )

    def call_in(self, enters: float = 1) -> None:
        """A caller comes, and enters the room at once or after a menu."""
        self.leg(0, CALLER, "ringing")
        self.leg(1, CALLER, "in-progress")
        self.participant(enters, CALLER, "join")

    def ring(self, at: float, sid: str, to: str) -> None:
        self.leg(at, sid, "initiated", To=to)
        self.leg(at + 1, sid, "ringing", To=to)

    def answer(self, at: float, sid: str, **fields: str) -> None:
        self.leg(at, sid, "in-progress")
        self.participant(at, sid, "join", **fields)

    def leave(self, at: float, sid: str, answered: float) -> None:
        self.participant(at, sid, "leave")
        self.leg(at, sid, "completed", CallDuration=str(int(at - answered)))

    @property
    def call(self) -> CallState:
        (call,) = calls_of(events(self.told))
        return call


def events(told: Iterable[Told]) -> list[CallEvent]:
    return [
        event
        for fields in told
        for event in twilio_events(fields, source="cloud", received_at=T0, region="UA")
    ]


def ms(seconds: float) -> int:
    return round(seconds * 1_000)


# --- every way to meet ----------------------------------------------------------------------------

CAME, LEFT = (1, 20, 70), (100, 129, 160)
MEETINGS = [
    (caller, agent, caller_left, agent_left)
    for caller, agent in itertools.permutations(CAME, 2)
    for caller_left, agent_left in itertools.product(LEFT, LEFT)
]
"""When caller and agent enter and leave: each may wait alone before, and stay alone after."""


@pytest.mark.parametrize("meeting", MEETINGS)
def test_they_talk_while_both_are_there(meeting: tuple[int, int, int, int]) -> None:
    """Whoever comes or leaves first, in every order of callbacks and with any repetition."""
    came, agent_came, left, agent_left = meeting
    room = Meeting()
    room.call_in(came)
    room.ring(0, AGENT, "client:101")
    room.answer(agent_came, AGENT)
    room.leave(agent_left, AGENT, agent_came)
    room.leave(left, CALLER, 1)
    expected = orjson.dumps(calls_of(events(room.told)), default=str)
    dice = random.Random(repr(meeting))
    together = min(left, agent_left) - max(came, agent_came)

    call = room.call
    assert (call.direction, call.outcome, call.missed) == ("inbound", "answered", False)
    assert (call.number_e164, call.answered_extension) == (NUMBER, "101")
    assert call.talk_ms == leg_of_extension(call, "101").talk_ms == ms(together)
    for _ in range(10):
        order = room.told + dice.choices(room.told, k=5)
        dice.shuffle(order)
        assert orjson.dumps(calls_of(events(order)), default=str) == expected


def test_who_comes_when_the_caller_has_gone_answers_nobody() -> None:
    """An agent alone in the room: the call is missed, and its telephone did not take it."""
    room = Meeting()
    room.call_in()
    room.ring(2, AGENT, "client:101")
    room.leave(8, CALLER, 1)
    room.answer(9, AGENT)
    room.leave(20, AGENT, 9)

    assert (room.call.outcome == "answered", room.call.missed) == (False, True)
    assert leg_of_extension(room.call, "101").talk_ms is None


@pytest.mark.parametrize(
    ("status", "reason"), [("no-answer", "no_answer"), ("busy", "busy"), ("canceled", "canceled")]
)
def test_who_does_not_come_is_a_part_of_the_call_all_the_same(status: str, reason: str) -> None:
    """Twilio says that a participant whom it called in vain has left; the next one answers."""
    room = Meeting()
    room.call_in()
    room.ring(2, AGENT, "client:101")
    room.leg(20, AGENT, status, To="client:101")
    room.participant(20, AGENT, "leave", ReasonParticipantLeft="no_answer",
                     ParticipantCallStatus=status)  # fmt: skip
    alone = room.call
    room.ring(21, OTHER, "sip:102@office.sip.twilio.com")
    room.answer(25, OTHER)
    room.leave(55, CALLER, 1)
    room.leave(55, OTHER, 25)

    assert (alone.status, alone.answered_extension) != ("ended", "101")
    assert leg_of_extension(room.call, "101").ended_reason == reason
    assert (room.call.answered_extension, room.call.talk_ms) == ("102", ms(30))


def test_a_caller_whom_nobody_joins_is_missed() -> None:
    """The room's own callbacks say nothing else."""
    room = Meeting()
    room.told.append(said(1, ConferenceSid=ROOM, StatusCallbackEvent="conference-start"))
    room.call_in()
    room.leave(30, CALLER, 1)
    room.told.append(said(30, ConferenceSid=ROOM, StatusCallbackEvent="conference-end",
                          ReasonConferenceEnded="last-participant-left"))  # fmt: skip

    assert (room.call.direction, room.call.missed, room.call.talk_ms) == ("inbound", True, None)


def test_a_call_handed_on_in_a_conference_is_one_call_with_two_talks() -> None:
    """The first agent leaves when the second has come: both talked, the call never paused."""
    room = Meeting()
    room.call_in()
    room.ring(2, AGENT, "client:101")
    room.answer(5, AGENT)
    room.ring(30, OTHER, "client:102")
    room.answer(35, OTHER)
    room.leave(50, AGENT, 5)
    room.leave(80, CALLER, 1)
    room.leave(81, OTHER, 35)

    talks = {leg.extension: leg.talk_ms for leg in room.call.legs if leg.extension}
    assert talks == {"101": ms(45), "102": ms(45)}
    assert (room.call.answered_extension, room.call.talk_ms) == ("101", ms(75))


@pytest.mark.parametrize("joins_held", [False, True])
def test_a_caller_on_hold_is_held_by_those_in_the_room(joins_held: bool) -> None:
    """The hold is the agents' and a part of their talk; the caller holds nobody."""
    room = Meeting()
    room.leg(0, CALLER, "ringing")
    room.leg(1, CALLER, "in-progress")
    room.participant(1, CALLER, "join", Hold=str(joins_held).lower())
    room.ring(2, AGENT, "client:101")
    room.answer(5, AGENT)
    if not joins_held:
        room.participant(10, CALLER, "hold", Hold="true")
    room.participant(25, CALLER, "unhold")
    room.leave(60, AGENT, 5)
    room.leave(60, CALLER, 1)

    (agent,) = (leg for leg in room.call.legs if leg.extension)
    (caller,) = (leg for leg in room.call.legs if not leg.extension)
    assert (agent.talk_ms, agent.hold_ms) == (ms(55), ms(20 if joins_held else 15))
    assert not caller.hold_ms


@pytest.mark.parametrize(("takes_part_s", "talked"), [(0, None), (7, ms(7))])
def test_a_coach_listens_and_does_not_talk(takes_part_s: int, talked: int | None) -> None:
    """From `participant-modify` on they are in the conversation, until they only coach again."""
    room = Meeting()
    room.call_in()
    room.ring(2, AGENT, "client:101")
    room.answer(5, AGENT)
    room.ring(9, OTHER, "client:109")
    room.answer(10, OTHER, Coaching="true", Muted="true")
    if takes_part_s:
        room.participant(30, OTHER, "modify", Coaching="false")
        room.participant(30 + takes_part_s, OTHER, "modify", Coaching="true")
    room.leave(60, AGENT, 5)
    room.leave(60, OTHER, 10)
    room.leave(60, CALLER, 1)

    assert leg_of_extension(room.call, "109").talk_ms == talked
    assert (room.call.answered_extension, room.call.talk_ms) == ("101", ms(55))


@pytest.mark.parametrize("how", ["from the browser", "by the API"])
def test_a_customer_called_into_a_conference_is_an_outbound_call(how: str) -> None:
    """The agent is there first: from a browser, or called by the API like the customer."""
    room = Meeting()
    if how == "from the browser":
        room.leg(0, AGENT, "in-progress", Direction="inbound", From="client:101", To="")
        room.participant(0, AGENT, "join")
    else:
        room.ring(-5, AGENT, "client:101")
        room.answer(0, AGENT)
    room.ring(1, OTHER, NUMBER)
    room.answer(9, OTHER)
    room.leave(39, OTHER, 9)
    room.leave(40, AGENT, 0)

    assert (room.call.direction, room.call.outcome) == ("outbound", "answered")
    assert (room.call.number_e164, room.call.talk_ms) == (NUMBER, ms(30))
    assert leg_of_extension(room.call, "101").talk_ms == ms(30)


def test_a_room_of_the_same_name_is_another_conference() -> None:
    """Its id is new: tomorrow's call is not today's."""
    first, second = Meeting(), Meeting()
    for room in (first, second):
        room.call_in()
        room.leave(10, CALLER, 1)
    later = [
        {**told, "CallSid": "CAlater", **({"ConferenceSid": "CFlater"} if ROOM in told.values()
         else {})} for told in second.told
    ]  # fmt: skip

    assert len(calls_of(events([*first.told, *later]))) == 2


QUIET = ("mute", "unmute", "speech-start", "speech-stop")


@pytest.mark.parametrize("event", [f"participant-{one}" for one in QUIET] + [
    "conference-start", "conference-end", "announcement-end", "announcement-fail"])  # fmt: skip
def test_what_changes_nothing_is_taken_and_gives_no_event(event: str) -> None:
    """Twilio would repeat what is refused."""
    told = said(1, ConferenceSid=ROOM, StatusCallbackEvent=event, CallSid=CALLER)

    assert events([told]) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"ConferenceSid": ""},
        {"ConferenceSid": "a b"},
        {"CallSid": ""},
        {"CallSid": "CA" * 40},
        {"StatusCallbackEvent": ""},
        {"StatusCallbackEvent": "participant-dance"},
        {"Timestamp": "yesterday"},
    ],
)
def test_what_is_no_callback_of_a_conference_is_refused(changes: Told) -> None:
    """Signed, and yet of no use."""
    told = said(1, ConferenceSid=ROOM, StatusCallbackEvent="participant-join", CallSid=CALLER)

    with pytest.raises(InvalidCallback):
        events([{**told, **changes}])
