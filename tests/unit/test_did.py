"""Which of our numbers a caller dialled, as each kind of PBX says it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from ingest import AsteriskDialect, AsteriskNormaliser, FreeswitchNormaliser, twilio_events
from ingest.fold.fold import fold
from ingest.framing.ami_messages import AmiParser
from ingest.model.call_state import CallState
from ingest.model.events import CallEvent
from ingest.normalise.webhook import parse_events
from tests.support.call_truth import call_for, calls_of, events_of_recording, names, truths_of

NOW = datetime.now(UTC)
OURS, IN_E164 = "0442223344", "+380442223344"
SAID = {
    OURS: IN_E164,
    IN_E164: IN_E164,
    "380442223344": IN_E164,
    "7001": "7001",
    "0441110001": "+380441110001",
    "s": None,
    "h": None,
    "": None,
    "<unknown>": None,
    "_X.": None,
    "sales": None,
    "1": None,
}
"""What the PBX says was dialled → the number."""


def call_of(events: list[CallEvent]) -> CallState:
    """Fold the events as one call, and the same in the opposite order."""
    call, again = (fold(some, call_id=UUID(int=1)) for some in (events, events[::-1]))
    assert call is not None
    assert again == call
    return call


def asterisk(exten: str, channel: str = "PJSIP/trunk-00000001", context: str = "from-trunk") -> Any:
    """Return the events of a call that begins in this extension."""
    text = "".join(
        f"{name}: {value}\r\n"
        for name, value in {
            "Event": "Newchannel", "Channel": channel, "Context": context, "Exten": exten,
            "CallerIDNum": "+380671234567", "Uniqueid": "1.1", "Linkedid": "1.1",
        }.items()
    )  # fmt: skip
    normaliser = AsteriskNormaliser("pbx", AsteriskDialect(region="UA"))
    messages = AmiParser().feed(f"{text}\r\n".encode())
    return [event for message in messages for event in normaliser.events(message, NOW)]


def freeswitch(**said: str) -> list[CallEvent]:
    """Return the events of a leg that comes in."""
    fields = {
        "Event-Name": "CHANNEL_CREATE", "Unique-ID": "a", "Call-Direction": "inbound",
        "Channel-Name": "sofia/external/+380671234567@carrier", "Caller-Context": "public",
        "Caller-Caller-ID-Number": "+380671234567", **said,
    }  # fmt: skip
    return FreeswitchNormaliser("pbx", region="UA").events(fields, NOW)


def twilio(direction: str = "inbound", **said: str) -> list[CallEvent]:
    """Return the events of the first callback of a call."""
    fields = {
        "CallSid": "CA" + "1" * 32, "CallStatus": "ringing", "Direction": direction,
        "From": "+380671234567", **said,
    }  # fmt: skip
    return twilio_events(fields, source="pbx", received_at=NOW, region="UA")


def posted(event_type: str, dialled: str, **attrs: str) -> list[CallEvent]:
    """Return a posted event of a call that comes in."""
    item = {
        "type": event_type, "occurred_at": NOW.isoformat(), "call_key": "c", "leg_key": "a",
        "attrs": {"number": "+380671234567", "dialled": dialled, **attrs},
    }  # fmt: skip
    parsed = parse_events([item], source="pbx", region="UA")
    assert not parsed.rejected
    return parsed.events


@pytest.mark.parametrize("name", names())
def test_recorded_calls_name_the_number_that_was_dialled(name: str) -> None:
    """As played: each inbound call that was made to a number has it."""
    calls = calls_of(events_of_recording(name))
    for truth in truths_of(name):
        call = call_for(truth, calls)
        if call.direction != "inbound":
            assert call.did is None
        elif did := truth.get("did"):
            assert call.did in {did, f"+38{did}"}


@pytest.mark.parametrize(("said", "number"), SAID.items())
def test_every_pbx_says_it_in_its_own_way(said: str, number: str | None) -> None:
    """In E.164 when it is a telephone number, else as it is said; names are no numbers."""
    calls = [
        *(asterisk(said, channel) for channel in ("PJSIP/trunk-00000001", "DAHDI/1-1")),
        freeswitch(**{"Caller-Destination-Number": said}),
        freeswitch(**{"Caller-Destination-Number": "account", "variable_sip_to_user": said}),
        freeswitch(variable_sip_req_user=said),
        twilio(To=said),
        twilio(Called=said),
        posted("call.started", said, direction="inbound"),
        posted("leg.created", said, kind="external"),
    ]

    assert [call_of(events).did for events in calls] == [number] * len(calls)


def test_the_halves_of_a_local_channel_say_it_once() -> None:
    """A caller who comes in through a Local channel, as in a test of the dialplan."""
    (first,) = asterisk(OURS, "Local/0442223344@from-trunk-00000001;1")

    assert first.attrs["exten_e164"] == IN_E164


def test_a_call_from_inside_has_none() -> None:
    """What an employee dials is the other party's number, or a colleague's extension."""
    inside = [
        asterisk("0671234567", "PJSIP/301-00000001", "internal"),
        asterisk("302", "PJSIP/301-00000001", "from-internal"),
        twilio("outbound-api", To="+380671234567"),
        posted("call.started", OURS, direction="outbound"),
        posted("call.started", "302", direction="internal"),
    ]

    assert [call_of(events).did for events in inside] == [None] * len(inside)


def test_what_the_call_goes_through_later_does_not_change_it() -> None:
    """Telephones that are rung begin in an extension, too: of their own context."""
    events = asterisk(OURS)
    (rung,) = asterisk("7002", "PJSIP/trunk-00000002")
    later = CallEvent(
        event_id=UUID(int=9), source="pbx", type=rung.type, occurred_at=NOW, leg_key="1.2",
        peer_leg_key="1.1", attrs=rung.attrs,
    )  # fmt: skip
    dialled = CallEvent(
        event_id=UUID(int=10), source="pbx", type="offer.started", occurred_at=NOW, leg_key="1.2",
        peer_leg_key="1.1",
    )  # fmt: skip

    assert call_of([*events, later, dialled]).did == IN_E164
