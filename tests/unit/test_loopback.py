"""FreeSWITCH's loopback channels are no telephones, whichever half stays or speaks first."""

from __future__ import annotations

import itertools
import random
from typing import Any

import orjson
import pytest

from ingest.model.call_state import CallState
from ingest.normalise.freeswitch import FreeswitchNormaliser
from tests.support.call_truth import calls_of
from tests.support.scripted_pbx import NUMBER, leg_of_extension, talk_seconds
from tests.unit.test_callcenter import CALLER, T0, Core, waiting

A, B, PHONE = "half-a", "half-b", "phone"
TICK = 0.001

STAYS = ("both stay", "both leave", "B gives its place")
"""`loopback_bowout=false`, the default, and `loopback_bowout_on_execute=true`."""
CREATED = ("ab", "ba")
"""B's thread may report before A's does."""
BRIDGED = ("outer first", "inner first")
NAMED = ("variables", "names only", "A without variables")
"""What tells a half: `variable_loopback_leg` and the other's uuid, or its channel's name."""
ENDS = ("caller", "phone", "nobody answers")


class Loopback:
    """A caller who is sent to extension 1001 through a loopback channel."""

    def __init__(self, named: str, *, core: Core | None = None) -> None:
        self.core = core or Core()
        self._named = named
        self._at = 0.0

    def half(self, uuid: str, **extra: str) -> dict[str, str]:
        """Return the fields that every event of a half has."""
        letter, other = ("a", B) if uuid == A else ("b", A)
        fields = {"Channel_Name": f"loopback/1001-{letter}", **extra}
        if self._named == "variables" or (self._named == "A without variables" and uuid == B):
            fields |= {"variable_loopback_leg": letter.upper()}
        if self._named != "A without variables" or uuid == B:
            fields |= {"variable_other_loopback_leg_uuid": other}
        return fields

    def say(self, at: float, name: str, uuid: str, **fields: str) -> None:
        """Say it a moment later than what was said before."""
        self._at = max(self._at + TICK, at)
        self.core.say(self._at, name, uuid, **fields)

    def call_in(self) -> None:
        self.say(0, "CHANNEL_CREATE", CALLER, Call_Direction="inbound", Channel_Call_UUID=CALLER,
                 Channel_Name="sofia/external/trunk", Caller_Caller_ID_Number=NUMBER)  # fmt: skip

    def dial(self, order: str = "ab", **of_a: str) -> None:
        """The caller dials A; B begins."""
        for letter in order:
            if letter == "a":
                rung = {"Other_Type": "originator", "Other_Leg_Unique_ID": CALLER}
                self.say(
                    1,
                    "CHANNEL_CREATE",
                    A,
                    Call_Direction="outbound",
                    Channel_Call_UUID=A,
                    Caller_Destination_Number="1001",
                    **self.half(A),
                    **(of_a or rung),
                )
            else:
                self.say(1, "CHANNEL_CREATE", B, Call_Direction="inbound", Channel_Call_UUID=B,
                         Caller_Caller_ID_Number=NUMBER, **self.half(B))  # fmt: skip

    def ring(self, by: str) -> None:
        self.say(2, "CHANNEL_CREATE", PHONE, Call_Direction="outbound", Channel_Call_UUID=by,
                 Channel_Name="sofia/internal/1001@10.0.0.9", Other_Type="originator",
                 Other_Leg_Unique_ID=by)  # fmt: skip
        self.say(2, "CHANNEL_PROGRESS", PHONE, Call_Direction="outbound")
        if by == B:
            self.say(2, "CHANNEL_PROGRESS", A, Call_Direction="outbound", **self.half(A))

    def answer(self, *halves: str) -> None:
        self.say(5, "CHANNEL_ANSWER", PHONE)
        for half in halves:
            self.say(5, "CHANNEL_ANSWER", half, **self.half(half))

    def bridge(self, one: str, other: str, at: float = 5, name: str = "CHANNEL_BRIDGE",
               **fields: str) -> None:  # fmt: skip
        self.say(at, name, one, Bridge_A_Unique_ID=one, Bridge_B_Unique_ID=other, **fields)

    def hangup(self, at: float, uuid: str, cause: str = "NORMAL_CLEARING", **fields: str) -> None:
        if uuid in {A, B}:
            fields |= self.half(uuid)
        self.say(at, "CHANNEL_HANGUP_COMPLETE", uuid, Hangup_Cause=cause, **fields)

    def leave(self, at: float) -> None:
        """Both halves go: the channels on both sides are joined to each other."""
        self.bridge(CALLER, A, at, "CHANNEL_UNBRIDGE")
        self.bridge(B, PHONE, at, "CHANNEL_UNBRIDGE")
        epoch = int(T0.timestamp() + at)
        self.bridge(
            CALLER,
            PHONE,
            at,
            variable_originator=B,
            variable_transfer_source=f"{epoch}:x:uuid_br:{CALLER}",
            Event_Date_Timestamp=str(int((T0.timestamp() + at) * 1_000_000)),
        )
        for half, joined in ((A, CALLER), (B, PHONE)):
            self.hangup(at, half, "NORMAL_UNSPECIFIED", variable_loopback_hangup_cause="bridge",
                        variable_loopback_bowout_other_uuid=joined)  # fmt: skip

    @property
    def call(self) -> CallState:
        return self.core.call


def scripted(stays: str, created: str, bridged: str, named: str, end: str) -> Loopback:
    """Play one variant: rung at 2, answered at 5, over at 20."""
    pbx = Loopback(named)
    pbx.call_in()
    pbx.dial(created)
    direct = stays == "B gives its place"
    if direct:
        for half in (B, A):
            gone = (
                {
                    "variable_loopback_hangup_cause": "bowout",
                    "variable_loopback_bowout_other_uuid": CALLER,
                }
                if half == B
                else {}
            )
            pbx.hangup(1.5, half, "NORMAL_UNSPECIFIED", **gone)  # fmt: skip
    pbx.ring(CALLER if direct else B)
    if end == "nobody answers":
        pbx.hangup(20, PHONE, "NO_ANSWER")
        for uuid in () if direct else (B, A):
            pbx.hangup(20, uuid, "NO_ANSWER")
        pbx.hangup(20, CALLER, "NO_ANSWER")
        return pbx
    pbx.answer(*(() if direct else (B, A)))
    bridges = [(CALLER, PHONE)] if direct else [(CALLER, A), (B, PHONE)]
    for one, other in bridges if bridged == "outer first" else reversed(bridges):
        pbx.bridge(one, other)
    if stays == "both leave":
        pbx.leave(6)
    alive = [CALLER, A, B, PHONE] if stays == "both stay" else [CALLER, PHONE]
    for uuid in alive if end == "caller" else reversed(alive):
        pbx.hangup(20, uuid)
    return pbx


VARIANTS = list(itertools.product(STAYS, CREATED, BRIDGED, NAMED, ENDS))


@pytest.mark.parametrize("variant", VARIANTS, ids="/".join)
def test_a_call_through_a_loopback_is_one_inbound_call(variant: tuple[str, ...]) -> None:
    """With one leg of 1001, and no transfer, for every order of events and any repetition."""
    heard = scripted(*variant).core.heard
    expected = orjson.dumps(calls_of(heard), default=str)
    dice = random.Random(repr(variant))

    (call,) = calls_of(heard)
    ours = [leg.extension for leg in call.legs if leg.extension]
    answered = variant[-1] != "nobody answers"

    assert (call.direction, call.number_raw, call.missed) == ("inbound", NUMBER, not answered)
    assert (ours, len(call.legs), call.transfers) == (["1001"], 2, ())
    assert call.answered_extension == ("1001" if answered else None)
    assert talk_seconds(call) == ({"1001": 15} if answered else {})
    assert leg_of_extension(call, "1001").ended_reason == ("completed" if answered else "no_answer")
    for _ in range(10):
        shuffled = heard + dice.choices(heard, k=dice.randrange(len(heard)))
        dice.shuffle(shuffled)
        assert orjson.dumps(calls_of(shuffled), default=str) == expected


@pytest.mark.parametrize("stays", ["both stay", "both leave"])
def test_an_agent_of_a_queue_may_be_reached_through_a_loopback(stays: str) -> None:
    """mod_callcenter rings A for the caller; the telephone behind it is the agent."""
    pbx = Loopback("variables", core=waiting())
    pbx.dial("ab", variable_cc_member_session_uuid=CALLER, variable_cc_side="agent")
    pbx.ring(B)
    ringing = pbx.call
    pbx.answer(B, A)
    pbx.core.queue(5.01, "bridge-agent-start", CC_Agent_UUID=A)
    pbx.bridge(CALLER, A)
    pbx.bridge(B, PHONE)
    if stays == "both leave":
        pbx.leave(6)
    else:
        pbx.hangup(20, B)
        pbx.hangup(20, A)
    pbx.hangup(20, PHONE)
    pbx.core.queue(20, "member-queue-end", CC_Cause="Terminated")
    pbx.hangup(20, CALLER)

    assert (ringing.status, ringing.number_raw) == ("ringing", NUMBER)
    assert ringing.ringing == {"1001"}
    assert (pbx.call.outcome, pbx.call.answered_extension, len(pbx.call.legs)) == (
        "answered", "1001", 2,
    )  # fmt: skip
    assert [stint.outcome for stint in pbx.call.stints] == ["connected"]
    assert talk_seconds(pbx.call) == {"1001": 15}


@pytest.mark.parametrize("stays", ["both stay", "both leave"])
def test_a_call_placed_through_a_loopback_is_outbound(stays: str) -> None:
    """`originate loopback/1001 0671234567`: 1001 is rung, then A dials the customer."""
    pbx = Loopback("variables")
    pbx.dial("ab", Caller_Caller_ID_Number="1001")
    pbx.ring(B)
    pbx.answer(B, A)
    pbx.bridge(B, PHONE)
    pbx.say(6, "CHANNEL_CREATE", CALLER, Call_Direction="outbound", Channel_Call_UUID=A,
            Channel_Name="sofia/gateway/trunk/0671234567", Other_Type="originator",
            Other_Leg_Unique_ID=A, Caller_Destination_Number="0671234567")  # fmt: skip
    pbx.say(8, "CHANNEL_ANSWER", CALLER)
    pbx.bridge(A, CALLER, 8)
    if stays == "both leave":
        pbx.leave(9)
    for uuid in [PHONE, CALLER] if stays == "both leave" else [PHONE, B, A, CALLER]:
        pbx.hangup(20, uuid)

    assert (pbx.call.direction, pbx.call.outcome) == ("outbound", "answered")
    assert (pbx.call.number_e164, pbx.call.transfers) == ("+380671234567", ())
    assert (pbx.call.answered_extension, len(pbx.call.legs)) == ("1001", 2)
    assert talk_seconds(pbx.call)["1001"] == 12


def test_a_mailbox_behind_a_loopback_answers_for_nobody() -> None:
    """B runs an application, and no telephone rings."""
    pbx = Loopback("variables")
    pbx.call_in()
    pbx.dial()
    for half in (B, A):
        pbx.say(5, "CHANNEL_ANSWER", half, **pbx.half(half))
    pbx.bridge(CALLER, A)
    for uuid in (CALLER, A, B):
        pbx.hangup(20, uuid)

    assert (pbx.call.direction, pbx.call.missed) == ("inbound", True)
    assert pbx.call.answered_extension is None
    assert talk_seconds(pbx.call) == {}


def test_a_telephone_that_is_not_there_was_tried() -> None:
    """B finds nobody to ring: 1001 was called, and did not answer."""
    pbx = Loopback("variables")
    pbx.call_in()
    pbx.dial()
    for uuid in (B, A):
        pbx.hangup(1, uuid, "NO_ROUTE_DESTINATION", variable_hangup_cause_q850="3")
    pbx.hangup(2, CALLER)

    assert [leg.extension for leg in pbx.call.legs] == [None, "1001"]
    assert leg_of_extension(pbx.call, "1001").ended_reason == "failed"
    assert pbx.call.missed


def rows(*channels: str, state: str = "ACTIVE") -> list[dict[str, str]]:
    """Return the answer to `show channels`: a caller, halves, and the telephone of 1001."""
    known: dict[str, dict[str, str]] = {
        CALLER: {"name": "sofia/external/trunk", "direction": "inbound", "call_uuid": CALLER},
        A: {"name": "loopback/1001-a", "direction": "outbound", "call_uuid": CALLER},
        B: {"name": "loopback/1001-b", "direction": "inbound", "call_uuid": B},
        "other-a": {"name": "loopback/1001-a", "direction": "outbound", "call_uuid": "other"},
        PHONE: {"name": "sofia/internal/1001@10.0.0.9", "direction": "outbound", "call_uuid": B},
    }
    return [{"uuid": uuid, "callstate": state, **known[uuid]} for uuid in channels]


def test_halves_in_a_list_of_channels_are_no_telephones() -> None:
    """After a reconnection: two of one name belong together; of more, nothing is claimed."""
    normaliser = FreeswitchNormaliser("core", region="UA")
    known = normaliser.snapshot(rows(CALLER, A, B, PHONE), T0)
    unclear = normaliser.snapshot(rows(CALLER, A, B, "other-a", PHONE), T0)

    (call,) = calls_of(list(known.facts))
    assert [leg.extension for leg in call.legs if leg.extension] == ["1001"]
    assert (len(call.legs), call.status) == (2, "talking")
    assert {A, B, "other-a"} <= (unclear.alive or frozenset())
    told: set[Any] = {fact.leg_key for fact in unclear.facts if fact.type != "bridge.joined"}
    assert told == {CALLER, PHONE}
