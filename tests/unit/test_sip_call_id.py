"""A leg's SIP Call-ID, from whichever PBX tells it and in any order."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from uuid import UUID

from ingest.fold.fold import fold
from ingest.framing.ami_messages import AmiMessage
from ingest.model.events import CallEvent
from ingest.normalise.asterisk import AsteriskNormaliser
from ingest.normalise.freeswitch import FreeswitchNormaliser
from ingest.normalise.twilio import twilio_events
from ingest.normalise.webhook import parse_events

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
ID = "6691dbf8ffdc02bdacee02bc305d5c71@10.0.0.5"


def ids_of(events: list[CallEvent]) -> list[str | None]:
    call = fold(events, call_id=UUID(int=1))
    assert call is not None
    return [leg.sip_call_id for leg in call.legs]


def asterisk(*messages: dict[str, str]) -> list[CallEvent]:
    """Translate messages that come a second after one another."""
    normaliser = AsteriskNormaliser("pbx")
    return [
        event
        for number, fields in enumerate(messages)
        for event in normaliser.events(
            AmiMessage(tuple({"Uniqueid": "1.1", **fields}.items())),
            NOW + timedelta(seconds=number),
        )
    ]


def test_every_pbx_can_tell_it() -> None:
    """A variable of Asterisk's dialplan, FreeSWITCH's own, Twilio's field, an attribute."""
    channel = {"Event": "Newchannel", "Channel": "PJSIP/301-1"}
    variable = {"Event": "VarSet", "Variable": "SIPCALLID", "Value": ID}
    posted = {"type": "leg.ringing", "occurred_at": NOW.isoformat(), "leg_key": "l",
              "extension": "101", "attrs": {"sip_call_id": ID}}  # fmt: skip
    esl = {"Event-Name": "CHANNEL_ANSWER", "Unique-ID": "a", "variable_sip_call_id": ID}
    twilio = {"CallSid": "CA1", "CallStatus": "ringing", "From": "sip:101@x", "SipCallId": ID}

    assert ids_of(asterisk(channel, variable)) == [ID]
    assert ids_of(FreeswitchNormaliser("pbx").events(esl, NOW)) == [ID]
    assert ids_of(twilio_events(twilio, source="pbx", received_at=NOW)) == [ID]
    assert ids_of(parse_events([posted], source="pbx", now=NOW).events) == [ID]


def test_the_first_that_was_reported_counts_in_any_order() -> None:
    """A second one, an empty one and one that a caller's channel hands down change nothing."""
    events = asterisk(
        {"Event": "Newchannel", "Channel": "PJSIP/301-1"},
        {"Event": "VarSet", "Variable": "SIPCALLID", "Value": ""},
        {"Event": "VarSet", "Variable": "__SIPCALLID", "Value": "the caller's"},
        {"Event": "VarSet", "Variable": "SIPCALLID", "Value": ID},
        {"Event": "VarSet", "Variable": "WAZO_SIP_CALL_ID", "Value": "another"},
    )

    assert {tuple(ids_of(list(some))) for some in itertools.permutations(events)} == {(ID,)}


def test_a_variable_alone_is_no_telephone() -> None:
    """The echo of a channel that ended before we listened makes no call of its own."""
    events = asterisk({"Event": "VarSet", "Variable": "SIPCALLID", "Value": ID})

    assert fold(events, call_id=UUID(int=1)) is None
