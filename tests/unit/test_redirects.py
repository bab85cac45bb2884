"""Calls that somebody moved from outside: transfers by no telephone of the call."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from ingest import FreeswitchNormaliser
from ingest.model.call_state import CallState
from ingest.model.events import CallEvent
from ingest.normalise.webhook import parse_events
from tests.support.cacofonisk import scenarios
from tests.support.call_truth import SHARED, calls_of, events_of_recording, names
from tests.support.scripted_pbx import CALLER, NUMBER, A, B, C, ScriptedPbx
from tests.unit.test_hang_ups import as_stored_before, ended

T0 = datetime.now(UTC) - timedelta(hours=1)
MOVED_S = 20.0

Moved = tuple[str, str | None, str | None, str | None, str | None, bool]
"""Kind, by which leg and extension, to whom or into which queue, and whether somebody answered."""


def moved(call: CallState) -> list[Moved]:
    return [
        (one.kind, one.by_leg_key, one.by_extension, one.to_extension, one.queue,
         one.answered_at is not None)
        for one in call.transfers
    ]  # fmt: skip


class RedirectingPbx(ScriptedPbx):
    """Moves a caller out of a conversation, and tells of it in any order."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.dice = random.Random(seed)

    def talk(self, *, queue: bool) -> None:
        if queue:
            self.queue_to(A)
        else:
            self.call_in()
            self.rings(A)
            self.at(2)
            self.up(A, CALLER)
            self.enter("talk", A, CALLER)

    def let_go(self, agent: str, *others: tuple[str, str, dict[str, str]], asked: bool) -> None:
        """End the conversation: the PBX lets the agent go, who hung up or did not."""
        told = [
            ("BridgeLeave", CALLER, {"BridgeUniqueid": self._bridges.pop(CALLER)}),
            ("BridgeLeave", agent, {"BridgeUniqueid": self._bridges.pop(agent)}),
            ("HangupRequest" if asked else "SoftHangupRequest", agent, {}),
            ("Hangup", agent, {"Cause": "16"}),
            *others,
        ]
        self.dice.shuffle(told)
        self.at(MOVED_S)
        for event, channel, fields in told:
            self.send(event, channel, **fields)

    def ring_under(self, at: float, exten: str, phone: str, *, answers: bool) -> None:
        self.at(at)
        self.new(phone)
        self.send("DialBegin", CALLER, phone, DestExten=exten)
        self.ring(phone)
        if answers:
            self.at(at + 3)
            self.up(phone, CALLER)
            self.enter(f"talk with {phone}", phone, CALLER)


@pytest.mark.parametrize(
    ("seed", "queue", "after", "answers"),
    [*product(range(4), (True, False), (0.0, 3.0), (True, False))],
)
def test_a_call_moved_to_another_telephone_is_a_redirect(
    seed: int, queue: bool, after: float, answers: bool
) -> None:
    """By nobody of the call; at once, or after a few words, and whether or not it is answered."""
    pbx = RedirectingPbx(seed)
    pbx.talk(queue=queue)
    pbx.let_go(A, asked=False)
    pbx.ring_under(MOVED_S + 0.02 + after, "302", B, answers=answers)

    assert moved(pbx.call) == [("redirect", None, None, "302", None, answers)]
    assert pbx.call.transfers[0].to_number == "302"
    pbx.at(60)
    pbx.send("HangupRequest", CALLER)
    pbx.hangup(CALLER, B)
    assert ended(pbx.call) == ("customer", None)


@pytest.mark.parametrize("seed", range(4))
def test_a_call_moved_into_a_queue_is_a_redirect(seed: int) -> None:
    """The queue is named, and who answers there."""
    pbx = RedirectingPbx(seed)
    pbx.talk(queue=False)
    enters = ("QueueCallerJoin", CALLER, {"Queue": "support"})
    pbx.let_go(A, enters, asked=False)
    assert moved(pbx.call) == [("redirect", None, None, None, "support", False)]
    pbx.ring_under(MOVED_S + 2, "8003", B, answers=True)

    assert moved(pbx.call) == [("redirect", None, None, "302", "support", True)]


def test_a_call_may_be_moved_again() -> None:
    """Each time from the conversation that it is in."""
    pbx = RedirectingPbx()
    pbx.talk(queue=False)
    pbx.let_go(A, asked=False)
    pbx.ring_under(MOVED_S + 0.1, "302", B, answers=True)
    pbx.at(40)
    pbx.leave(CALLER)
    pbx.hangup(B)
    pbx.ring_under(40.1, "303", C, answers=True)

    assert [one[3] for one in moved(pbx.call)] == ["302", "303"]
    assert {one[0] for one in moved(pbx.call)} == {"redirect"}


@pytest.mark.parametrize("seed", range(4))
def test_what_is_explained_otherwise_is_no_redirect(seed: int) -> None:
    """The agent hung up; transferred; parked the call; or the caller came back much later."""
    hung_up, transferred, parked, later = (RedirectingPbx(seed) for _ in range(4))
    for pbx in (hung_up, transferred, parked, later):
        pbx.talk(queue=False)
    hung_up.let_go(A, asked=True)
    told = {"Result": "Success", "TransfererUniqueid": A, "TransfererLinkedid": CALLER,
            "TransfereeUniqueid": CALLER, "Extension": "302"}  # fmt: skip
    transferred.let_go(A, ("BlindTransfer", "", told), asked=False)
    slot = {"ParkeeUniqueid": CALLER, "ParkeeLinkedid": CALLER, "ParkingSpace": "701",
            "ParkerUniqueid": A, "ParkerChannel": A}  # fmt: skip
    parked.let_go(A, ("ParkedCall", "", slot), asked=False)
    later.let_go(A, asked=False)
    for pbx in (hung_up, transferred, parked):
        pbx.ring_under(MOVED_S + 0.1, "302", B, answers=True)
    later.ring_under(MOVED_S + 30, "302", B, answers=True)

    assert [moved(pbx.call) for pbx in (hung_up, parked, later)] == [[], [], []]
    assert [one[0] for one in moved(transferred.call)] == ["blind"]


@pytest.mark.parametrize(("cause", "kinds"), [("16", ["redirect"]), ("44", [])])
def test_an_agent_whose_line_broke_moved_nobody(cause: str, kinds: list[str]) -> None:
    """The PBX hears no more sound and ends the leg; the dialplan queues the caller again."""
    pbx = ScriptedPbx()
    pbx.queue_to(A)
    pbx.at(20)
    pbx.leave(A, CALLER)
    pbx.send("SoftHangupRequest", A)
    pbx.hangup(A, cause=cause)
    pbx.at(21)
    pbx.send("QueueCallerJoin", CALLER, Queue="sales")

    assert [one[0] for one in moved(pbx.call)] == kinds


def test_a_call_that_was_parked_is_ended_by_the_caller_who_gives_up() -> None:
    """Not by the agent, who hears the slot and hangs up a moment later."""
    pbx = RedirectingPbx()
    pbx.talk(queue=False)
    pbx.at(MOVED_S)
    pbx.leave(CALLER, A)
    pbx.send("ParkedCall", ParkeeUniqueid=CALLER, ParkeeLinkedid=CALLER, ParkingSpace="701",
             ParkerUniqueid=A, ParkerChannel=A)  # fmt: skip
    pbx.at(MOVED_S + 3)
    pbx.send("HangupRequest", A)
    pbx.hangup(A)
    pbx.at(50)
    pbx.send("HangupRequest", CALLER)
    pbx.hangup(CALLER)

    assert ended(pbx.call) == ("customer", None)


def test_of_earlier_releases_no_redirect_is_seen() -> None:
    """What they stored does not say who hung up."""
    pbx = RedirectingPbx()
    pbx.talk(queue=False)
    pbx.let_go(A, asked=False)
    pbx.ring_under(MOVED_S + 0.1, "302", B, answers=True)
    (call,) = calls_of(as_stored_before(pbx.heard))

    assert moved(call) == []


@pytest.mark.parametrize("name", [*names(), "m01_mixed_local"])
def test_no_recorded_call_was_redirected(name: str) -> None:
    """Whatever else happens in them; one that is not beside this repository is not read."""
    folder = [SHARED] if name.startswith("m01") else []
    if folder and not (SHARED / f"{name}.jsonl.gz").exists():
        pytest.skip(f"{SHARED} has no {name}")
    calls = calls_of(events_of_recording(name, *folder))

    assert "redirect" not in {one.kind for call in calls for one in call.transfers}


@pytest.mark.skipif(not scenarios(), reason="cacofonisk is not beside this repository")
def test_no_call_of_another_installation_was_redirected() -> None:
    """Attended, blind and blonde transfers, pickups and queues."""
    calls = [call for one in scenarios() for call in calls_of(one.events())]

    assert "redirect" not in {one.kind for call in calls for one in call.transfers}


# --- other PBXs ----------------------------------------------------------------------------------


def freeswitch(**agent_ends: str) -> CallState:
    """Return a call of which the caller's side was sent to 302, while it talked with 301."""
    normaliser = FreeswitchNormaliser("pbx", region="UA")
    told: list[CallEvent] = []

    def tell(at: float, name: str, leg: str, **fields: str) -> None:
        stamp = int((T0 + timedelta(seconds=at)).timestamp() * 1_000_000)
        said = {"Event-Name": name, "Unique-ID": leg, "Event-Date-Timestamp": str(stamp),
                "Event-Sequence": str(len(told)), "Core-UUID": "core"}  # fmt: skip
        told.extend(normaliser.events({**said, **fields}, T0))

    def rung(at: float, leg: str, extension: str) -> None:
        tell(at, "CHANNEL_CREATE", leg, **{
            "Call-Direction": "outbound", "Other-Type": "originator",
            "Other-Leg-Unique-ID": "caller", "Channel-Name": f"sofia/internal/{extension}@office",
            "Caller-Destination-Number": extension,
        })  # fmt: skip

    def bridge(at: float, name: str, leg: str, **fields: str) -> None:
        sides = {"Bridge-A-Unique-ID": "caller", "Bridge-B-Unique-ID": leg}
        tell(at, name, "caller", **sides, **fields)

    tell(0, "CHANNEL_CREATE", "caller", **{
        "Call-Direction": "inbound", "Channel-Name": "sofia/external/x@carrier",
        "Caller-Context": "public", "Caller-Caller-ID-Number": NUMBER,
    })  # fmt: skip
    rung(1, "one", "301")
    tell(3, "CHANNEL_ANSWER", "one")
    bridge(3, "CHANNEL_BRIDGE", "one")
    began, at = T0 + timedelta(seconds=3), T0 + timedelta(seconds=MOVED_S)
    bridge(MOVED_S, "CHANNEL_UNBRIDGE", "one", **{
        "variable_transfer_source": f"{int(at.timestamp())}:uuid:bl_xfer:302/default/XML",
        "Caller-Channel-Bridged-Time": str(int(began.timestamp() * 1_000_000)),
    })  # fmt: skip
    tell(MOVED_S, "CHANNEL_HANGUP_COMPLETE", "one", **agent_ends)
    rung(MOVED_S + 1, "two", "302")
    tell(MOVED_S + 4, "CHANNEL_ANSWER", "two")
    bridge(MOVED_S + 4, "CHANNEL_BRIDGE", "two")
    (call,) = calls_of(told)
    assert calls_of(told[::-1]) == [call]
    return call


LET_GO = {"variable_sip_hangup_disposition": "send_bye", "Hangup-Cause": "NORMAL_CLEARING"}


@pytest.mark.parametrize(
    ("ends", "kind"),
    [
        (LET_GO, "redirect"),
        ({**LET_GO, "Hangup-Cause": "BLIND_TRANSFER"}, "blind"),
        ({**LET_GO, "variable_endpoint_disposition": "BLIND_TRANSFER"}, "blind"),
        ({**LET_GO, "variable_current_application": "transfer"}, "blind"),
        ({**LET_GO, "variable_sip_hangup_disposition": "recv_bye"}, "blind"),
        ({"Hangup-Cause": "NORMAL_CLEARING"}, "blind"),
    ],
)
def test_freeswitch_shows_who_moved_a_call_by_how_its_telephone_ends(
    ends: dict[str, str], kind: str
) -> None:
    """Whoever refers the caller, by SIP or by keys, leaves with that; nobody else did it."""
    by = (None, None) if kind == "redirect" else ("one", "301")

    assert moved(freeswitch(**ends)) == [(kind, *by, "302", None, True)]


def test_a_posted_call_says_that_it_was_moved() -> None:
    """By the leg that was moved, to the number that was chosen."""
    begun: list[dict[str, Any]] = [
        {"type": "call.started", "leg_key": "c", "attrs": {"direction": "inbound"}},
        {"type": "offer.started", "leg_key": "a", "peer_leg_key": "c", "extension": "301"},
        {"type": "leg.answered", "leg_key": "a", "extension": "301"},
        {"type": "transfer.redirect", "leg_key": "c", "attrs": {"to": "302"}},
        {"type": "offer.started", "leg_key": "b", "peer_leg_key": "c", "extension": "302"},
        {"type": "leg.answered", "leg_key": "b", "extension": "302"},
    ]
    parsed = parse_events(
        [{"call_key": "k", "occurred_at": (T0 + timedelta(seconds=n)).isoformat(), **item}
         for n, item in enumerate(begun)],
        source="pbx", region="UA",
    )  # fmt: skip
    assert not parsed.rejected
    (call,) = calls_of(parsed.events)

    assert moved(call) == [("redirect", None, None, "302", None, True)]
    assert call.transfers[0].to_number == "302"
