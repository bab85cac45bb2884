"""Who hung up, as PBXs other than Asterisk tell it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from ingest import FreeswitchNormaliser, twilio_events
from ingest.fold.fold import fold
from ingest.model.call_state import CallState
from ingest.model.events import CallEvent
from ingest.normalise.webhook import parse_events
from tests.support.call_truth import calls_of
from tests.support.scripted_pbx import NUMBER
from tests.unit.test_hang_ups import CUSTOMER, PBX, UNKNOWN, Ended, ended

T0 = datetime.now(UTC) - timedelta(hours=1)


def freeswitch(caller: str | None, agent: str | None, *, bridged: bool = True) -> CallState:
    """Return a call whose two legs end with these dispositions of SIP."""
    normaliser = FreeswitchNormaliser("pbx", region="UA")
    told: list[CallEvent] = []

    def tell(at: float, name: str, leg: str, **fields: str) -> None:
        outbound = leg == "agent"
        stamp = int((T0 + timedelta(seconds=at)).timestamp() * 1_000_000)
        said = {
            "Event-Name": name, "Unique-ID": leg, "Event-Date-Timestamp": str(stamp),
            "Call-Direction": "outbound" if outbound else "inbound",
            "Channel-Name": "sofia/internal/101@office" if outbound else "sofia/external/x@carrier",
            "Caller-Context": "public", "Caller-Caller-ID-Number": NUMBER, "Core-UUID": "core",
            "Caller-Destination-Number": "101", "Event-Sequence": str(len(told)),
        }  # fmt: skip
        if outbound:
            said |= {"Other-Type": "originator", "Other-Leg-Unique-ID": "caller"}
        told.extend(normaliser.events({**said, **fields}, T0))

    tell(0, "CHANNEL_CREATE", "caller")
    tell(1, "CHANNEL_CREATE", "agent")
    tell(2, "CHANNEL_PROGRESS", "agent")
    if bridged:
        tell(5, "CHANNEL_ANSWER", "agent")
        sides = {"Bridge-A-Unique-ID": "caller", "Bridge-B-Unique-ID": "agent"}
        tell(5, "CHANNEL_BRIDGE", "caller", **sides)
        tell(20, "CHANNEL_UNBRIDGE", "caller", **sides)
    for leg, disposition in (("agent", agent), ("caller", caller)):
        said = {"variable_sip_hangup_disposition": disposition} if disposition else {}
        tell(20, "CHANNEL_HANGUP_COMPLETE", leg, variable_hangup_cause_q850="16", **said)
    (call,) = calls_of(told)
    assert calls_of(told[::-1]) == [call]
    return call


@pytest.mark.parametrize(
    ("caller", "agent", "expected"),
    [
        ("recv_bye", "send_bye", CUSTOMER),
        ("send_bye", "recv_bye", ("agent", "101")),
        ("send_bye", "send_bye", PBX),
        ("send_bye", None, UNKNOWN),
        ("recv_bye", None, CUSTOMER),
        (None, None, UNKNOWN),
    ],
)
def test_freeswitch_tells_who_sent_the_bye(
    caller: str | None, agent: str | None, expected: Ended
) -> None:
    """Of a telephone over WebRTC it does not know."""
    assert ended(freeswitch(caller, agent)) == expected


@pytest.mark.parametrize(
    ("caller", "agent", "expected"),
    [
        ("recv_cancel", "send_cancel", CUSTOMER),
        ("send_refuse", "recv_refuse", PBX),
        ("send_refuse", "send_cancel", PBX),
        ("send_bye", "send_cancel", PBX),
    ],
)
def test_freeswitch_tells_who_gave_up(caller: str, agent: str, expected: Ended) -> None:
    """Whoever was refused, since nobody answered, did not hang up: the PBX ended the call."""
    assert ended(freeswitch(caller, agent, bridged=False)) == expected


@pytest.mark.parametrize(
    ("caller", "agent", "expected"),
    [
        ("participant_hung_up", "moderator_ended_conference", CUSTOMER),
        ("moderator_ended_conference", "participant_hung_up", ("agent", "101")),
        ("conference_ended_via_api", "conference_ended_via_api", PBX),
        ("participant_updated_via_api", None, UNKNOWN),
        (None, None, UNKNOWN),
    ],
)
def test_twilio_tells_why_a_participant_left_a_conference(
    caller: str | None, agent: str | None, expected: Ended
) -> None:
    """Callbacks of calls alone do not say it."""
    told: list[CallEvent] = []

    def say(at: int, **fields: str) -> None:
        stamp = (T0 + timedelta(seconds=at)).strftime("%a, %d %b %Y %H:%M:%S +0000")
        told.extend(
            twilio_events({"Timestamp": stamp, **fields}, source="pbx", received_at=T0, region="UA")
        )

    legs = {
        "CAcaller": {"Direction": "inbound", "From": NUMBER, "To": "+380441110001"},
        "CAagent": {"Direction": "outbound-api", "From": "+380441110001", "To": "client:101"},
    }
    rooms = {"ConferenceSid": "CFroom"}
    for n, (sid, parties) in enumerate(legs.items()):
        say(n, CallSid=sid, CallStatus="in-progress", SequenceNumber="1", **parties)
        say(n, CallSid=sid, StatusCallbackEvent="participant-join", SequenceNumber=f"{n}", **rooms)
    for n, (sid, parties) in enumerate(legs.items()):
        reason = (caller, agent)[n]
        left = {"ReasonParticipantLeft": reason} if reason else {}
        say(30, CallSid=sid, StatusCallbackEvent="participant-leave", SequenceNumber=f"{n + 2}",
            **rooms, **left)  # fmt: skip
        say(30, CallSid=sid, CallStatus="completed", SequenceNumber="2", **parties)

    (call,) = calls_of(told)
    assert ended(call) == expected


@pytest.mark.parametrize("by", ["customer", "agent", "pbx", None])
def test_a_posted_call_says_who_hung_up(by: str | None) -> None:
    """At its end, or by the leg that did."""
    at = [(T0 + timedelta(seconds=n)).isoformat() for n in range(10)]
    begun: list[dict[str, Any]] = [
        {
            "type": "call.started",
            "leg_key": "c",
            "attrs": {"direction": "inbound", "number": NUMBER},
        },
        {"type": "offer.started", "leg_key": "a", "peer_leg_key": "c", "extension": "101"},
        {"type": "leg.answered", "leg_key": "a", "extension": "101"},
    ]
    over: dict[str, Any] = {"type": "call.ended", "attrs": {"ended_by": by}, "extension": "101"}
    leg = {"customer": "c", "agent": "a"}.get(by or "")
    hung_up = [{"type": "leg.hung_up", "leg_key": leg}] if leg else []
    found = []
    for items in ([*begun, over], [*begun, *hung_up, {"type": "call.ended"}]):
        parsed = parse_events(
            [{"call_key": "k", "occurred_at": at[n], **item} for n, item in enumerate(items)],
            source="pbx",
            region="UA",
        )
        assert not parsed.rejected
        call, again = (
            fold(events, call_id=UUID(int=1)) for events in (parsed.events, parsed.events[::-1])
        )
        assert call is not None
        assert call == again
        found.append(ended(call))

    said = (by, "101" if by == "agent" else None)
    assert found == [said, said if leg else UNKNOWN]
