"""Ours or an outsider: contexts, directions and gateways decide before a channel's name does."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import orjson
import pytest

from ingest.model.call_state import CallState
from ingest.normalise.freeswitch import FreeswitchNormaliser
from ingest.normalise.twilio import twilio_events
from tests.support.amounts import tries
from tests.support.call_truth import RECORDINGS, calls_of, events_of_recording
from tests.support.scripted_pbx import ScriptedPbx, seconds

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
NUMBER = "+380671234567"
TRUNKS = (
    "SIP/5061-00000011",
    "SIP/701-00000035",
    "SIP/380441112233-00000041",
    "PJSIP/33-00000001",
    "PJSIP/100200-0000000a",
    "PJSIP/carrier-0000000b",
    "DAHDI/33-1",
    "DAHDI/i1/0671234567-5",
    "IAX2/2020-1234",
    "SCCP/77-00000001",
)
OUTSIDE = (
    "from-trunk",
    "from-trunk-sip-701",
    "from-pstn",
    "from-pstn-e164-us",
    "from-did-direct",
    "from-dahdi",
    "from-zaptel",
    "incoming",
    "INBOUND",
    "sip-provider",
    "carrier1",
    "isdn_in",
    "gsm",
    "from-external",
    "public",
)
INSIDE = ("from-internal", "internal", "phones", "users", "agents", "office", "extensions")
NEUTRAL = ("", "default", "sip", "ctx7", "from-internal-to-trunk", "world_out", "candidates")
TELEPHONES = ("PJSIP/301-00000002", "SIP/7070-00000012", "DAHDI/33-1", "SCCP/77-00000001")
PHONE = "PJSIP/302-00000003"


def call_from(
    channel: str, context: str, *, number: str = NUMBER, trunk: str | None = None
) -> CallState:
    """Return the call of a channel that comes in and is answered by 302, 30 s."""
    pbx = ScriptedPbx(trunk=trunk)
    pbx.send("Newchannel", channel, CallerIDNum=number, ChannelStateDesc="Ring", Context=context,
             Exten="0441110001")  # fmt: skip
    pbx.rings(PHONE, by=channel)
    pbx.at(5)
    pbx.up(PHONE, channel)
    pbx.enter("talk", PHONE, channel)
    pbx.at(35)
    pbx.hangup(channel, PHONE)
    return pbx.call


@pytest.mark.parametrize(("channel", "context"), [*product(TRUNKS, OUTSIDE)])
def test_who_calls_from_an_outside_context_is_an_outsider(channel: str, context: str) -> None:
    """However the trunk is called; also one that shows a short number."""
    call = call_from(channel, context)
    short = call_from(channel, context, number="735001")

    assert (call.direction, call.number_e164, call.answered_extension) == ("inbound", NUMBER, "302")
    assert (short.direction, short.number_raw, short.number_e164) == ("inbound", "735001", None)
    assert [leg.extension for leg in call.legs] == [None, "302"]
    assert seconds(call.talk_ms) == 30


@pytest.mark.parametrize(("channel", "context"), [*product(TELEPHONES, (*INSIDE, *NEUTRAL))])
def test_a_telephone_in_any_other_context_is_ours(channel: str, context: str) -> None:
    """Where the context says nothing, or two things, the name decides."""
    call = call_from(channel, context, number="301")

    assert call.direction == "internal"
    assert call.legs[0].extension == channel.partition("/")[2].partition("-")[0]


@pytest.mark.parametrize("context", INSIDE)
def test_a_telephone_with_a_name_is_ours_in_an_inside_context(context: str) -> None:
    """It has no extension to find an employee by, and is no customer who calls."""
    call = call_from("PJSIP/oksana-00000002", context, number="301")

    assert (call.direction, call.legs[0].kind) == ("internal", "agent")


@pytest.mark.parametrize("context", INSIDE)
def test_a_trunk_in_the_only_context_is_known_by_its_name(context: str) -> None:
    """Small installations have one context for telephones and trunks."""
    call = call_from("PJSIP/carrier-00000002", context)

    assert (call.direction, call.number_e164) == ("inbound", NUMBER)


@pytest.mark.parametrize(("channel", "context"), [*product(TRUNKS, NEUTRAL)])
def test_a_setting_names_the_trunks_of_contexts_that_say_nothing(
    channel: str, context: str
) -> None:
    """It is compared with the channel's name, and wins against an inside context."""
    pattern = r"^(SIP/(5061|701|380)|PJSIP/(33|100200|carrier)|DAHDI|IAX2/2020|SCCP/77)"

    for where in (context, "from-internal"):
        call = call_from(channel, where, trunk=pattern)
        assert (call.direction, call.number_e164) == ("inbound", NUMBER), where


@pytest.mark.parametrize(
    ("channel", "dial_string"),
    [
        ("SIP/701-00000035", "701/0671234567"),
        ("SIP/701-00000035", "SIP/701/0671234567"),
        ("PJSIP/701-00000035", "0671234567@701"),
        ("PJSIP/701-00000035", "PJSIP/0671234567@701"),
        ("DAHDI/33-1", "g1/0671234567"),
        ("DAHDI/33-1", "33/w0671234567"),
        ("IAX2/2020-1234", "user:secret@2020/0671234567@from-pstn"),
    ],
)
def test_what_a_number_is_dialled_through_is_a_trunk(channel: str, dial_string: str) -> None:
    """Although it is called like a telephone, in a context that says nothing."""
    pbx = ScriptedPbx()
    pbx.new(PHONE, of=PHONE, number="302")
    pbx.new(channel, of=PHONE)
    pbx.send("DialBegin", PHONE, channel, DialString=dial_string)
    pbx.ring(channel)
    pbx.up(channel, PHONE)
    pbx.enter("talk", channel, PHONE)

    call = pbx.call

    assert (call.direction, call.number_e164) == ("outbound", NUMBER)
    assert [(leg.extension, leg.kind) for leg in call.legs] == [
        ("302", "agent"), (None, "external"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "number", "answered"),
    [
        ("a1_trunk_with_a_number_for_a_name", "+380506000123", "7070"),
        ("a2_fxo_gateway_701", "735001", "101"),
        ("a3_dahdi_33", NUMBER, "101"),
        ("a4_outbound_trunk_is_a_number", NUMBER, "101"),
    ],
)
def test_a_reported_call_is_with_its_customer(name: str, number: str, answered: str) -> None:
    """Trunks that are named like telephones or like numbers, as other systems met them."""
    (call,) = calls_of(events_of_recording(name, RECORDINGS / "reported"))

    direction = "outbound" if name.startswith("a4") else "inbound"
    assert (call.direction, call.outcome) == (direction, "answered")
    assert (call.number_e164 or call.number_raw) == number
    assert (call.answered_extension, seconds(call.talk_ms)) == (answered, 30)


@pytest.mark.parametrize(
    "path", sorted((RECORDINGS / "reported").glob("*.gz")), ids=lambda path: path.name.split(".")[0]
)
@tries(20, 200)
def test_a_reported_call_is_the_same_in_any_order(path: Path, tries: int) -> None:
    """Many times in another order, with repeats, byte for byte."""
    events = events_of_recording(path.name.removesuffix(".jsonl.gz"), path.parent)
    expected = orjson.dumps(calls_of(events))
    dice = random.Random(path.name)

    for _ in range(tries):
        shuffled = events + dice.choices(events, k=dice.randrange(len(events)))
        dice.shuffle(shuffled)
        assert orjson.dumps(calls_of(shuffled)) == expected


# --- FreeSWITCH and Twilio -------------------------------------------------------------------


def leg_of(**fields: str) -> tuple[str | None, str | None]:
    """Return the kind that FreeSWITCH's facts state, and the extension."""
    named = {name.replace("_", "-"): value for name, value in fields.items() if name[0].isupper()}
    variables = {name: value for name, value in fields.items() if not name[0].isupper()}
    created = {"Event-Name": "CHANNEL_CREATE", "Unique-ID": "a", **named, **variables}
    event = FreeswitchNormaliser("fs", region="UA", trunk="^sofia/lines/").events(created, NOW)[0]
    return event.attrs.get("kind"), event.extension


@pytest.mark.parametrize(
    ("fields", "kind", "extension"),
    [
        ({"Channel_Name": "sofia/internal/1001@10.0.0.5"}, None, "1001"),
        ({"Channel_Name": "sofia/external/1001@198.51.100.7"}, "external", None),
        ({"Channel_Name": "sofia/lines/1001@198.51.100.7"}, "external", None),
        ({"Channel_Name": "sofia/internal/735001@x", "Caller_Context": "public"}, "external", None),
        (
            {"Channel_Name": "sofia/internal/1001@x", "Caller_Context": "public",
             "variable_user_name": "1001"},
            "agent", "1001",
        ),
        ({"Channel_Name": "sofia/internal/k3j2h@x", "variable_user_name": "1001"}, "agent", "1001"),
        ({"Channel_Name": "sofia/internal/oksana@x", "variable_user_name": "oksana"},
         "agent", None),
        ({"Channel_Name": "sofia/internal/112", "variable_sip_gateway_name": "gw"},
         "external", None),
    ],
)  # fmt: skip
def test_freeswitch_knows_gateways_and_its_users(
    fields: dict[str, str], kind: str | None, extension: str | None
) -> None:
    """A caller's number in the channel's name is no extension of ours."""
    for direction in ("inbound", "outbound"):
        if direction == "outbound" and "Caller_Context" in fields:
            continue  # it is the dialling leg's then
        renamed = {"variable_user_name": "variable_dialed_user"} if direction == "outbound" else {}
        given = {renamed.get(name, name): value for name, value in fields.items()}
        assert leg_of(Call_Direction=direction, **given) == (kind, extension), direction


def test_a_users_mobile_behind_a_gateway_is_the_users() -> None:
    """FreeSWITCH rings it for `user/1001`, by a dial string that leads to a gateway."""
    found = leg_of(Call_Direction="outbound", Channel_Name="sofia/external/0507776655@carrier",
                   variable_sip_gateway_name="carrier", variable_dialed_user="1001")  # fmt: skip

    assert found == ("agent", "1001")


@pytest.mark.parametrize(
    ("address", "extension", "kind"),
    [
        ("sip:101@office.sip.twilio.com", "101", "agent"),
        ("sip:+380671234567@office.sip.twilio.com", "+380671234567", "agent"),
        ("sip:+380671234567@office.sip.ie1.twilio.com;user=phone", "+380671234567", "agent"),
        ("sip:+380671234567@ims.carrier.example;user=phone", None, "external"),
        ("sip:0671234567@198.51.100.7:5060", None, "external"),
        ("sip:101@pbx.example.com", "101", "agent"),
        ("client:101", "101", "agent"),
        (NUMBER, None, "external"),
    ],
)
def test_a_number_at_a_carrier_is_no_telephone_of_ours(
    address: str, extension: str | None, kind: str
) -> None:
    """Twilio's own domains are where telephones register."""
    fields = {"CallSid": "CA1", "CallStatus": "ringing", "Direction": "inbound", "From": address}

    event = twilio_events(fields, source="t", received_at=NOW, region="UA")[0]

    assert (event.extension, event.attrs["kind"]) == (extension, kind)
    assert event.attrs.get("number_e164") == (NUMBER if kind == "external" else None)
