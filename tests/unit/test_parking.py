"""Parked calls: where, by whom and since when; and how parking ends."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from ingest.model import parking_json
from ingest.model.call_state import CallState, ParkingState
from ingest.normalise.webhook import parse_events
from tests.support.call_truth import calls_of
from tests.support.scripted_pbx import (
    CALLER,
    NUMBER,
    T0,
    A,
    B,
    C,
    ScriptedPbx,
    seconds,
    talk_seconds,
)
from tests.unit.test_callcenter import Core

PARKED_S, UNTIL_S, OVER_S = 20, 50, 70
LEG = "caller"
TELLS = ("channel", "dial string", "nothing", "Asterisk 11")
"""How the PBX names who parked the call."""
ENDS = ("colleague", "timeout, answered", "timeout, not answered", "given up", "nothing yet")


def parked_fields(tells: str) -> dict[str, str]:
    fields = {"ParkeeUniqueid": CALLER, "ParkeeLinkedid": CALLER, "ParkingSpace": "701"}
    match tells:
        case "channel":
            return fields | {"ParkerUniqueid": A, "ParkerChannel": A}
        case "dial string":
            return fields | {"ParkerDialString": "PJSIP/301"}
        case "nothing":
            return fields
        case _:
            return {"Uniqueid": CALLER, "Channel": CALLER, "Exten": "701", "From": A}


def other_fields(tells: str) -> dict[str, str]:
    if tells == "Asterisk 11":
        return {"UniqueID": CALLER, "Channel": CALLER, "Exten": "701"}
    return {"ParkeeUniqueid": CALLER, "ParkingSpace": "701"}


class ParkingPbx(ScriptedPbx):
    """An agent takes a call of a queue and parks it after 18 s of talking."""

    def __init__(self, tells: str = "channel") -> None:
        super().__init__()
        self.tells = tells
        self.queue_to(A)
        self.at(PARKED_S)
        self.leave(CALLER)
        self.send("BridgeEnter", CALLER, BridgeUniqueid="lot", BridgeTechnology="holding_bridge")
        self.send("ParkedCall", **parked_fields(tells))
        self.send("MusicOnHoldStart", CALLER)
        self.hangup(A)

    def leaves_the_slot(self, event: str, **fields: str) -> None:
        self.at(UNTIL_S)
        self.send("MusicOnHoldStop", CALLER)
        self.send("BridgeLeave", CALLER, BridgeUniqueid="lot", BridgeTechnology="holding_bridge")
        self.send(event, **other_fields(self.tells), **fields)

    def picked_up(self) -> None:
        """A colleague dials the slot: another call, which joins this one."""
        self.at(UNTIL_S - 1)
        self.new(B, of=B, number="302")
        named = {"RetrieverUniqueid": B, "RetrieverChannel": B}
        self.leaves_the_slot(
            "UnParkedCall", **({"From": B} if self.tells == "Asterisk 11" else named)
        )
        self.enter("picked", B, CALLER)

    def returns(self, *, answered: bool) -> None:
        """Nobody has fetched it: the parker is rung, like for any other call."""
        self.leaves_the_slot("ParkedCallTimeOut")
        self.rings(C.replace("303", "301"))
        if answered:
            self.at(UNTIL_S + 2)
            self.up(C.replace("303", "301"), CALLER)
            self.enter("back", CALLER, C.replace("303", "301"))

    def ends(self, how: str) -> None:
        match how:
            case "colleague":
                self.picked_up()
            case "timeout, answered":
                self.returns(answered=True)
            case "timeout, not answered":
                self.returns(answered=False)
            case "given up":
                self.leaves_the_slot("ParkedCallGiveUp")
                self.hangup(CALLER)
            case _:
                return
        self.at(OVER_S)
        self.hangup(CALLER, B, C.replace("303", "301"))


def parking_of(call: CallState) -> ParkingState:
    (found,) = call.parkings
    return found


def at_s(at: datetime | None) -> int | None:
    return round((at - T0).total_seconds()) if at else None


@pytest.mark.parametrize("tells", TELLS)
def test_a_parked_call_waits_and_says_where(tells: str) -> None:
    """Nobody talks with it, and it is in no queue any more."""
    call = ParkingPbx(tells).call
    parked = parking_of(call)

    assert (call.status, call.outcome, call.parked_ms) == ("waiting", None, 0)
    assert (at_s(parked.at), parked.until, parked.result) == (PARKED_S, None, None)
    assert (parked.slot, parked.by_extension) == ("701", "301")


@pytest.mark.parametrize("ends", ENDS[:-1])
@pytest.mark.parametrize("tells", TELLS)
def test_how_parking_ends(tells: str, ends: str) -> None:
    """Who fetches it talks; the time in the slot is talk and hold of nobody."""
    pbx = ParkingPbx(tells)
    pbx.ends(ends)
    call = pbx.call
    parked = parking_of(call)

    assert (at_s(parked.at), at_s(parked.until)) == (PARKED_S, UNTIL_S)
    assert (seconds(call.parked_ms), parked.by_extension) == (UNTIL_S - PARKED_S, "301")
    result, to = {"colleague": ("picked_up", "302"), "given up": ("given_up", None)}.get(
        ends, ("timeout", None)
    )
    assert (parked.result, parked.to_extension) == (result, to)
    assert (call.status, call.outcome, call.answered_extension) == ("ended", "answered", "301")
    talked = {"301": 18 + (18 if ends == "timeout, answered" else 0)}
    if ends == "colleague":
        talked["302"] = OVER_S - UNTIL_S
    legs = talk_seconds_added(call)
    assert {who: s for who, s in legs.items() if s} == talked
    assert [leg.hold_ms for leg in call.legs if leg.hold_ms] == []


def talk_seconds_added(call: CallState) -> dict[str, int]:
    found: dict[str, int] = {}
    for leg in call.legs:
        if leg.extension:
            found[leg.extension] = found.get(leg.extension, 0) + seconds(leg.talk_ms)
    return found


def test_the_parker_is_offered_a_call_that_comes_back() -> None:
    """As a call like any other: rung, not answered."""
    pbx = ParkingPbx()
    pbx.ends("timeout, not answered")

    first, again = [leg for leg in pbx.call.legs if leg.extension == "301"]

    assert (first.ended_reason, again.ended_reason) == ("completed", "canceled")
    assert again.ringing_at
    assert at_s(again.ringing_at) == UNTIL_S


def test_while_it_comes_back_it_rings() -> None:
    """Then it is parked no more."""
    pbx = ParkingPbx()
    pbx.returns(answered=False)

    assert (pbx.call.status, sorted(pbx.call.ringing)) == ("ringing", ["301"])


def test_a_call_that_nobody_had_answered_is_answered_by_who_fetches_it() -> None:
    """The dialplan may park callers at once."""
    pbx = ScriptedPbx()
    pbx.call_in()
    pbx.send("ParkedCall", ParkeeUniqueid=CALLER, ParkeeLinkedid=CALLER, ParkingSpace="702")
    waiting = pbx.call
    pbx.at(10)
    pbx.new(B, of=B, number="302")
    pbx.send("UnParkedCall", ParkeeUniqueid=CALLER, RetrieverUniqueid=B)
    pbx.enter("picked", B, CALLER)
    pbx.at(30)
    pbx.hangup(CALLER, B)

    assert (waiting.status, parking_of(waiting).by_extension) == ("waiting", None)
    assert (pbx.call.outcome, pbx.call.answered_extension) == ("answered", "302")
    assert (parking_of(pbx.call).result, talk_seconds(pbx.call)) == ("picked_up", {"302": 20})


def test_a_pick_up_that_is_not_told_is_seen() -> None:
    """A parked channel that enters a bridge is parked no more."""
    pbx = ParkingPbx()
    pbx.at(UNTIL_S)
    pbx.new(B, number="302")
    pbx.enter("picked", CALLER, B)
    parked = parking_of(pbx.call)

    assert (at_s(parked.until), parked.result, parked.to_extension) == (UNTIL_S, "picked_up", "302")
    assert pbx.call.status == "talking"


def test_another_channel_that_takes_the_place_goes_on_being_parked() -> None:
    """After an attended transfer into the slot: one time of parking, not two."""
    pbx = ParkingPbx()
    pbx.at(30)
    other = "PJSIP/trunk-00000009"
    pbx.new(other, number=NUMBER)
    pbx.send("ParkedCallSwap", ParkeeUniqueid=other, ParkeeLinkedid=CALLER, ParkingSpace="701")
    pbx.hangup(CALLER)
    pbx.at(40)
    pbx.send("ParkedCallGiveUp", ParkeeUniqueid=other, ParkingSpace="701")
    pbx.hangup(other)
    parked = parking_of(pbx.call)

    assert (at_s(parked.at), at_s(parked.until), parked.result) == (PARKED_S, 40, "given_up")
    assert (parked.by_extension, seconds(pbx.call.parked_ms)) == ("301", 20)


def test_a_call_may_be_parked_again() -> None:
    """Each time in a row of its own, and the total of both."""
    pbx = ParkingPbx()
    pbx.picked_up()
    pbx.at(60)
    pbx.leave(CALLER)
    pbx.send("ParkedCall", ParkeeUniqueid=CALLER, ParkerUniqueid=B, ParkingSpace="702")
    pbx.hangup(B)
    pbx.at(65)
    pbx.hangup(CALLER)

    assert [(one.slot, one.by_extension, one.result) for one in pbx.call.parkings] == [
        ("701", "301", "picked_up"),
        ("702", "302", "given_up"),
    ]
    assert seconds(pbx.call.parked_ms) == UNTIL_S - PARKED_S + 5


@pytest.mark.parametrize("ends", ENDS)
def test_whatever_the_order_the_call_is_the_same(ends: str) -> None:
    """All events of a parked call, shuffled and repeated."""
    pbx = ParkingPbx()
    pbx.ends(ends)
    expected, dice = pbx.calls, random.Random(ends)

    for _ in range(40):
        heard = dice.sample(pbx.heard, len(pbx.heard))
        assert calls_of([*heard, *dice.choices(heard, k=9)]) == expected


def test_what_is_stored_is_what_was_folded() -> None:
    """Of each way in which parking ends, as JSON and back."""
    for ends in ENDS:
        pbx = ParkingPbx()
        pbx.ends(ends)
        assert parking_json.loads(parking_json.dumps(pbx.call.parkings)) == pbx.call.parkings
    assert parking_json.dumps(()) is None
    assert parking_json.loads(None) == ()


# --- FreeSWITCH ----------------------------------------------------------------------------------


def rung(core: Core, at: float, uuid: str, extension: str) -> None:
    name = f"sofia/internal/{extension}@10.0.0.9"
    core.say(at, "CHANNEL_CREATE", uuid, Call_Direction="outbound", Other_Type="originator",
             Other_Leg_Unique_ID=LEG, Channel_Name=name)  # fmt: skip
    core.say(at, "CHANNEL_PROGRESS", uuid, Call_Direction="outbound")


def joined(core: Core, at: float, name: str, uuid: str) -> None:
    core.say(at, name, LEG, Bridge_A_Unique_ID=LEG, Bridge_B_Unique_ID=uuid)


def valet(core: Core, at: float, action: str, **fields: str) -> None:
    core.say(at, "CUSTOM", LEG, Event_Subclass="valet_parking::info", Action=action,
             Valet_Lot_Name="main", Valet_Extension="6001", **fields)  # fmt: skip


def answered_for_a_while() -> Core:
    """1001 answers a call, and lets it go after 18 s."""
    core = Core()
    core.say(0, "CHANNEL_CREATE", LEG, Call_Direction="inbound",
             Channel_Name="sofia/external/trunk", Caller_Caller_ID_Number=NUMBER)  # fmt: skip
    rung(core, 0, "a", "1001")
    core.say(2, "CHANNEL_ANSWER", "a")
    joined(core, 2, "CHANNEL_BRIDGE", "a")
    joined(core, PARKED_S, "CHANNEL_UNBRIDGE", "a")
    core.hangup(PARKED_S, "a")
    return core


@pytest.mark.parametrize("ends", ["picked_up", "given_up", "timeout"])
def test_freeswitch_tells_of_its_slots(ends: str) -> None:
    """`exit` comes at every end: how the call goes on says which it was."""
    core = answered_for_a_while()
    valet(core, PARKED_S, "hold")
    during = core.call
    if ends == "picked_up":
        core.say(49, "CHANNEL_CREATE", "b", Call_Direction="inbound", variable_user_name="1002",
                 Channel_Name="sofia/internal/1002@10.0.0.9")  # fmt: skip
        valet(core, UNTIL_S, "bridge", Bridge_To_UUID="b")
        valet(core, UNTIL_S, "exit")
        joined(core, UNTIL_S, "CHANNEL_BRIDGE", "b")
        core.hangup(OVER_S, "b")
    elif ends == "timeout":
        valet(core, UNTIL_S, "exit")
        rung(core, UNTIL_S, "again", "1001")
        core.hangup(OVER_S, "again", "ORIGINATOR_CANCEL")
    else:
        valet(core, UNTIL_S, "exit")
    core.hangup(UNTIL_S if ends == "given_up" else OVER_S, LEG)
    parked = parking_of(core.call)

    assert (during.status, parking_of(during).slot) == ("waiting", "6001")
    assert (at_s(parked.at), at_s(parked.until)) == (PARKED_S, UNTIL_S)
    assert (parked.slot, parked.by_extension) == ("6001", "1001")
    assert parked.result == (None if ends == "timeout" else ends)
    assert parked.to_extension == ("1002" if ends == "picked_up" else None)
    assert talk_seconds(core.call) == {"1001": 18, **({"1002": 20} if ends == "picked_up" else {})}


@pytest.mark.parametrize("bridged", [True, False])
def test_a_leg_that_had_talked_can_be_parked_without_a_slot(bridged: bool) -> None:
    """`uuid_park`. What a program parks before anybody talked waits for nobody to fetch it."""
    core = answered_for_a_while()
    since = str(int((T0 + timedelta(seconds=2)).timestamp() * 1_000_000)) if bridged else "0"
    core.say(PARKED_S, "CHANNEL_PARK", LEG, Caller_Channel_Bridged_Time=since)
    core.say(30, "CHANNEL_UNPARK", LEG)
    core.hangup(31, LEG)

    found = [(one.slot, at_s(one.until)) for one in core.call.parkings]

    assert found == ([(None, 30)] if bridged else [])


# --- posted --------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["leg", "extension"])
def test_a_pbx_that_posts_says_it(named: str) -> None:
    """Who parked and who fetched it by the leg or by the extension."""
    began = datetime.now(UTC)

    def item(at: int, kind: str, **fields: object) -> dict[str, object]:
        at_text = (began + timedelta(seconds=at)).isoformat()
        return {"type": kind, "occurred_at": at_text, "call_key": "c", **fields}

    by, to = ({"peer_leg_key": leg} if named == "leg" else {} for leg in ("a", "b"))
    told = ({"by": who} if named == "extension" else {} for who in ("101", "102"))
    items = [
        item(0, "call.started", leg_key="c", attrs={"number": NUMBER}),
        item(0, "offer.started", leg_key="a", peer_leg_key="c", extension="101"),
        item(0, "leg.created", leg_key="b", extension="102"),
        item(1, "call.parked", **by, attrs={"slot": "9", **next(told)}),
        item(5, "call.unparked", **to, attrs=next(told)),
        item(9, "call.parked", attrs={"slot": "9"}),
        item(12, "call.unparked", attrs={"reason": "timeout"}),
        item(13, "call.ended"),
    ]
    parsed = parse_events(items, source="pbx")
    assert not parsed.rejected
    (call,) = calls_of(parsed.events)

    assert [(one.slot, one.result) for one in call.parkings] == [
        ("9", "picked_up"),
        ("9", "timeout"),
    ]
    assert (call.parkings[0].by_extension, call.parkings[0].to_extension) == ("101", "102")
    assert call.parked_ms == 7_000
