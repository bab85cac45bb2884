"""Whom the caller asked for first, and which telephone sent the call on: for each kind of PBX."""

from __future__ import annotations

import random
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from ingest import FreeswitchNormaliser
from ingest.fold.event_log import EventLog
from ingest.fold.legs import build_legs
from ingest.model.call_state import CallState
from ingest.model.events import CallEvent
from ingest.normalise.dialled import forwarded_to
from ingest.normalise.webhook import parse_events
from tests.support.amounts import seeds
from tests.support.cacofonisk import scenarios
from tests.support.call_truth import calls_of, events_of_recording
from tests.support.scripted_pbx import CALLER, NUMBER, A, B, C, ScriptedPbx

INSIDE = "PJSIP/309-00000001"
MOBILE, MOBILE_NUMBER = "PJSIP/trunk-00000009", "0507776655"
T0 = datetime.now(UTC) - timedelta(hours=1)

Chain = list[tuple[str | None, str | None]]
"""Of each telephone that was rung: its extension, and who forwarded the call to it."""


def chain(call: CallState) -> Chain:
    return [(leg.extension, leg.forwarded_from) for leg in call.legs[1:]]


def test_a_recorded_forward_names_both_telephones() -> None:
    """301 answers with 302 Moved, and 303 takes the call."""
    (call,) = calls_of(events_of_recording("s20_sip_phone_forwards"))

    assert (call.asked_extension, call.answered_extension) == ("301", "303")
    assert chain(call) == [("301", None), ("303", "301")]


@pytest.mark.skipif(not scenarios(), reason="cacofonisk is not beside this repository")
def test_a_forward_of_another_installation_names_both_telephones() -> None:
    """There, each telephone is rung behind Local channels of its account."""
    (found,) = (one for one in scenarios() if one.name == "xfer_misc/call_forwarding")
    (call,) = calls_of(found.events())

    assert call.asked_extension == "150010001"
    assert chain(call) == [("150010001", None), ("150010002", "150010001")]


class ForwardingPbx(ScriptedPbx):
    """Forwards calls, each to the next telephone."""

    def begin(self, caller: str, *, exten: str) -> None:
        number = NUMBER if caller == CALLER else "309"
        context = "from-trunk" if caller == CALLER else "from-internal"
        self._linked[caller] = caller
        self.send("Newchannel", caller, CallerIDNum=number, Context=context, Exten=exten,
                  ChannelStateDesc="Ring")  # fmt: skip

    def forward(self, by: str, source: str, target: str, *, written: str, tells: int) -> str:
        """A telephone forwards to a number; the channel that then dials the next one.

        A PBX tells of the end of the one and the start of the other in any order: `tells`.
        """
        number = target if target == MOBILE_NUMBER else target.partition("/")[2][:3]
        one, two = (
            f"Local/{number}@internal-{source[-4:]};1",
            f"Local/{number}@internal-{source[-4:]};2",
        )
        self.new(one, two, of=by)
        told = [
            ("DialEnd", by, source, {"DialStatus": "CANCEL", "Forward": written.format(number)}),
            ("DialBegin", by, one, {"DialString": f"{number}@internal"}),
            ("Hangup", source, "", {"Cause": "0"}),
        ]
        for event, channel, dest, fields in (told, told[::-1], told[1:] + told[:1])[tells]:
            self.send(event, channel, dest, **fields)
        return two


@seeds(12, 60)
def test_a_call_may_be_forwarded_several_times(seed: int) -> None:
    """Of a chain each telephone names the one before it, and the call the first one."""
    dice = random.Random(seed)
    pbx = ForwardingPbx()
    caller = dice.choice((CALLER, INSIDE))
    phones = dice.sample([A, B, C], k=dice.randrange(1, 4))
    pbx.begin(caller, exten="0442223344" if caller == CALLER else phones[0][6:9])
    to_mobile = dice.random() < 0.5
    dialler = caller
    for source, target in pairwise([*phones, *([MOBILE_NUMBER] if to_mobile else [])]):
        pbx.new(source, of=caller)
        pbx.dial(dialler, source)
        if dice.random() < 0.5:
            pbx.ring(source)
        pbx.at(pbx._at + dice.choice((0, 0, 4)))
        written = dice.choice(("{}", "Local/{}@internal", "PJSIP/{}@trunk", "SIP/trunk/{}"))
        dialler = pbx.forward(dialler, source, target, written=written, tells=dice.randrange(3))
    last = MOBILE if to_mobile else phones[-1]
    pbx.new(last, of=caller)
    fields = {"DialString": f"trunk/{MOBILE_NUMBER}"} if to_mobile else {}
    pbx.send("DialBegin", dialler, last, **fields)
    pbx.ring(last)
    pbx.up(last, dialler)

    extensions = [phone[6:9] for phone in phones]
    assert pbx.call.asked_extension == extensions[0]
    expected: Chain = [(one, before) for before, one in pairwise([None, *extensions])]
    if to_mobile:
        expected.append((None, extensions[-1]))
    assert sorted(chain(pbx.call), key=str) == sorted(expected, key=str)


def test_a_telephone_rung_beside_the_forwarding_one_was_not_forwarded_to() -> None:
    """In a group, one of two forwards; and later the caller rings the same number anew."""
    pbx = ForwardingPbx()
    pbx.begin(CALLER, exten="0442223344")
    pbx.rings(A)
    pbx.rings(B)
    two = pbx.forward(CALLER, A, C, written="{}", tells=0)
    pbx.rings(C, by=two)

    assert dict(chain(pbx.call)) == {"301": None, "302": None, "303": "301"}
    assert pbx.call.asked_extension is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("303", "303"),
        ("Local/303@internal", "303"),
        ("PJSIP/0671234567@trunk", "0671234567"),
        ("SIP/trunk/0671234567", "0671234567"),
        ("+380671234567", "+380671234567"),
        ("<sip:303@10.0.0.5:5060>;q=1", "303"),
        ("sip:+380671234567@carrier;user=phone", "+380671234567"),
        ("", None),
        ("sip:oksana@office", None),
    ],
)
def test_where_a_telephone_forwards_is_read_in_any_notation(text: str, number: str | None) -> None:
    """As Asterisk's channels and SIP's contacts are written; names are no numbers."""
    assert forwarded_to(text) == number


# --- whom the caller asked for -------------------------------------------------------------------


@pytest.mark.parametrize("first_busy", [False, True])
def test_the_first_of_several_tried_in_turn_was_asked_for(first_busy: bool) -> None:
    """The next one rings when the first has not answered."""
    pbx = ForwardingPbx()
    pbx.begin(CALLER, exten="0442223344")
    pbx.rings(A)
    pbx.at(0.6 if first_busy else 20)
    pbx.hangup(A, cause="17" if first_busy else "19")
    pbx.rings(B)
    pbx.up(B, CALLER)

    assert (pbx.call.asked_extension, pbx.call.answered_extension) == ("301", "302")


@pytest.mark.parametrize("busy", [None, A, B])
def test_of_a_group_nobody_in_particular_was_asked_for(busy: str | None) -> None:
    """Also when one of its telephones is busy at once."""
    pbx = ForwardingPbx()
    pbx.begin(CALLER, exten="0442223344")
    for phone in (A, B):
        pbx.new(phone)
        pbx.dial(CALLER, phone)
        if phone == busy:
            pbx.hangup(phone, cause="17")
        else:
            pbx.ring(phone)

    assert pbx.call.asked_extension is None


def test_in_a_queue_nobody_in_particular_was_asked_for() -> None:
    """But who was rung before the queue was."""
    queued, asked_first = ForwardingPbx(), ForwardingPbx()
    queued.queue_to(A)
    asked_first.begin(CALLER, exten="0442223344")
    asked_first.rings(A)
    asked_first.at(20)
    asked_first.hangup(A, cause="19")
    asked_first.send("QueueCallerJoin", CALLER, Queue="sales")
    asked_first.rings(B)

    assert queued.call.asked_extension is None
    assert asked_first.call.asked_extension == "301"


@pytest.mark.parametrize("dialled", ["302", "600", "8003"])
def test_a_caller_from_inside_asked_for_what_was_dialled(dialled: str) -> None:
    """Whoever takes the call: a colleague, a group, a queue, or where the dialplan leads."""
    pbx = ForwardingPbx()
    pbx.begin(INSIDE, exten=dialled)
    pbx.new(A, of=INSIDE)
    pbx.dial(INSIDE, A)
    pbx.up(A, INSIDE)

    assert (pbx.call.direction, pbx.call.asked_extension) == ("internal", dialled)


def test_a_call_out_asks_for_nobody_of_ours() -> None:
    """Its number is the other party's."""
    for number in (MOBILE_NUMBER, "103"):
        pbx = ForwardingPbx()
        pbx.begin(INSIDE, exten=number)
        pbx.new(MOBILE, of=INSIDE)
        pbx.send("DialBegin", INSIDE, MOBILE, DialString=f"trunk/{number}")

        assert (pbx.call.direction, pbx.call.asked_extension) == ("outbound", None)


# --- other PBXs ----------------------------------------------------------------------------------


def freeswitch(*legs: dict[str, str], redirects: str | None = None) -> CallState:
    """Return a call in which the caller's leg rings these, one after another.

    The first ends with SIP's 302 to `redirects`.
    """
    normaliser = FreeswitchNormaliser("pbx", region="UA")
    told: list[CallEvent] = []

    def tell(at: float, name: str, leg: str, **fields: str) -> None:
        stamp = int((T0 + timedelta(seconds=at)).timestamp() * 1_000_000)
        said = {"Event-Name": name, "Unique-ID": leg, "Event-Date-Timestamp": str(stamp),
                "Event-Sequence": str(len(told)), "Core-UUID": "core"}  # fmt: skip
        told.extend(normaliser.events({**said, **fields}, T0))

    tell(0, "CHANNEL_CREATE", "caller", **{
        "Call-Direction": "inbound", "Channel-Name": "sofia/external/x@carrier",
        "Caller-Context": "public", "Caller-Caller-ID-Number": NUMBER,
        "Caller-Destination-Number": "0442223344",
    })  # fmt: skip
    for n, fields in enumerate(legs):
        outbound = {"Call-Direction": "outbound", "Other-Type": "originator",
                    "Other-Leg-Unique-ID": "caller", **fields}  # fmt: skip
        tell(n + 1, "CHANNEL_CREATE", f"leg{n}", **outbound)
        if redirects and n == 0:
            tell(1.5, "CHANNEL_HANGUP_COMPLETE", "leg0", **{
                "Hangup-Cause": "REDIRECTION_TO_NEW_DESTINATION",
                "variable_sip_redirected_to": redirects, **outbound,
            })  # fmt: skip
    (call,) = calls_of(told)
    assert calls_of(told[::-1]) == [call]
    return call


def rung(extension: str, **fields: str) -> dict[str, str]:
    return {"Channel-Name": f"sofia/internal/{extension}@office",
            "Caller-Destination-Number": extension, **fields}  # fmt: skip


def test_freeswitch_tells_where_a_telephone_redirects() -> None:
    """By SIP's 302, with a contact, to a colleague or to a number."""
    inside = freeswitch(rung("301"), rung("303"), redirects="<sip:303@10.0.0.5:5060>")
    outside = {"Channel-Name": f"sofia/external/{MOBILE_NUMBER}@carrier",
               "Caller-Destination-Number": MOBILE_NUMBER,
               "variable_sip_gateway_name": "carrier"}  # fmt: skip
    away = freeswitch(rung("301"), outside, redirects=f"<sip:{MOBILE_NUMBER}@carrier>")
    other = freeswitch(rung("301"), rung("304"), redirects="<sip:303@10.0.0.5:5060>")

    assert [inside.asked_extension, chain(inside)] == ["301", [("301", None), ("303", "301")]]
    assert [away.asked_extension, chain(away)] == ["301", [("301", None), (None, "301")]]
    assert chain(other) == [("301", None), ("304", None)]


def test_freeswitch_tells_for_whom_another_telephone_rings() -> None:
    """By SIP's Diversion: the telephone asked for is never rung itself."""
    diverted = {"variable_sip_h_Diversion": '"Oksana" <sip:301@office>;reason=unconditional'}
    ours = {"variable_sip_h_Diversion": "<sip:+380442223344@office>;reason=unconditional"}

    assert freeswitch(rung("303", **diverted)).asked_extension == "301"
    assert chain(freeswitch(rung("303", **diverted), rung("304"))) == [
        ("303", "301"), ("304", None)
    ]  # fmt: skip
    assert chain(freeswitch(rung("303", **ours))) == [("303", None)]


@pytest.mark.parametrize("way", ["forward", "forwarded_from"])
def test_a_posted_call_says_who_forwarded_it(way: str) -> None:
    """By the telephone that did, or by the one that rings."""
    begun: list[dict[str, Any]] = [
        {"type": "call.started", "leg_key": "c", "attrs": {"direction": "inbound"}},
        {"type": "offer.started", "leg_key": "a", "peer_leg_key": "c", "extension": "301"},
    ]
    rings = {"type": "offer.started", "leg_key": "b", "peer_leg_key": "c", "extension": "303"}
    if way == "forward":
        begun += [{"type": "offer.ended", "leg_key": "a", "attrs": {"forward": "303"}}, rings]
    else:
        begun += [{**rings, "attrs": {"forwarded_from": "301"}}]
    parsed = parse_events(
        [{"call_key": "k", "occurred_at": (T0 + timedelta(seconds=n)).isoformat(), **item}
         for n, item in enumerate(begun)],
        source="pbx", region="UA",
    )  # fmt: skip
    assert not parsed.rejected
    (call,) = calls_of(parsed.events)

    assert [call.asked_extension, chain(call)] == ["301", [("301", None), ("303", "301")]]


def all_forward(count: int, *, to: str, dialled: str) -> list[CallEvent]:
    """Return the events of so many telephones, each rung under a number and forwarding."""
    items: list[dict[str, Any]] = [{"type": "call.started", "leg_key": "c"}]
    for n in range(count):
        leg = {"leg_key": f"l{n}", "attrs": {"dialled": dialled}}
        rung = {"peer_leg_key": "c", "extension": f"{301 + n}"}
        items += [{"type": "offer.started", **leg, **rung},
                  {"type": "offer.ended", **leg, "attrs": {"forward": to}}]  # fmt: skip
    items.append({"type": "offer.started", "leg_key": "z", "peer_leg_key": "c", "extension": to})
    parsed = parse_events(
        [{"call_key": "k", "occurred_at": (T0 + timedelta(seconds=n)).isoformat(), **item}
         for n, item in enumerate(items)],
        source="pbx", region="UA",
    )  # fmt: skip
    assert not parsed.rejected
    return parsed.events


def test_of_many_that_forward_to_one_number_the_first_is_named() -> None:
    """By its extension, however many there are."""
    (call,) = calls_of(all_forward(60, to="900", dialled="600"))

    assert chain(call)[-1] == ("900", "301")


def test_the_work_for_forwarded_legs_grows_with_their_number() -> None:
    """Not with its square: a source may post any number of them."""

    def function_calls(count: int) -> int:
        channels, found = EventLog(all_forward(count, to="900", dialled="900")).channels, 0

        def called(*_: object) -> None:
            nonlocal found
            found += 1

        before = sys.getprofile()
        sys.setprofile(called)
        try:
            build_legs(channels, None)
        finally:
            sys.setprofile(before)
        return found

    assert function_calls(160) < 6 * function_calls(40)
