"""PBXs that are named in the settings: their events reach the screens."""

from __future__ import annotations

import base64
import json
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from secrets import token_bytes
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.protocol import CallEnded, CallOffered, CallUpdated, Device
from gateway.settings import Settings
from gateway.telephony.pbx.connections import asterisk_dialect
from ingest import sign_twilio
from tests.fakes import asterisk
from tests.fakes.asterisk import FakeAsterisk, Tape
from tests.support.desk import DIRECTOR, OKSANA, PBX_SECRET, Desk, eventually
from tests.support.tls import Authority

DIALECT = {"region": "PL", "extension": "^PJSIP/ext-(.+)-", "trunk": "^SIP/70[0-9]"}


async def test_a_live_asterisk_rings_at_a_softphone(empty_desk: Desk, tmp_path: Path) -> None:
    """From the manager interface, over TLS, to a softphone on another node: three events."""
    authority = Authority(tmp_path)
    own, tls = authority.papers(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(own.cert, own.key)
    tape = Tape("l01")
    async with FakeAsterisk(tls=tls) as pbx:
        there = asterisk.settings(pbx.port) | {"tls": True, "ca_file": authority.cert}
        await empty_desk.start_node(pbxs={"office": there}, roles=("ingest",))
        await empty_desk.start_node(roles=("sockets",))
        softphone = await empty_desk.client(
            OKSANA, node=1, device=Device(id="desk-phone", kind="softphone")
        )
        line = await pbx.next_connection()

        await line.play(tape.until("AgentCalled") + tape.until("Newstate"))
        offered = (await softphone.next(CallOffered)).call
        await line.play(tape.until("AgentConnect") + tape.until("BridgeEnter"))
        answered = (await softphone.next(CallUpdated)).call
        while answered.status != "talking":
            answered = (await softphone.next(CallUpdated)).call
        await line.play(tape.rest())
        ended = (await softphone.next(CallEnded)).call

    assert offered.customer is not None
    assert offered.customer.name == "Ivan Petrenko"
    assert offered.id == answered.id == ended.id
    assert (answered.answered_by, ended.outcome) == (OKSANA, "answered")


def test_a_pbx_is_read_as_its_settings_say() -> None:
    """Live and in a replay: its country, its telephones and its trunks."""
    office = {"kind": "ami", "host": "h", "user": "u", "secret": "s"} | DIALECT
    settings = Settings.model_validate({"pbxs": {"office": office}, "phone_region": "UA"})

    there, elsewhere = (asterisk_dialect(settings, name) for name in ("office", "replay"))

    assert {name: getattr(there, name) for name in DIALECT} == DIALECT
    assert (elsewhere.region, elsewhere.trunk) == ("UA", None)


@pytest.mark.parametrize(
    ("pbxs", "secrets", "wrong"),
    [
        ({"a": {"kind": "pigeon"}}, {}, "kind"),
        ({"a": {"kind": "ami", "host": "h", "user": "u"}}, {}, "secret"),
        ({"a": {"kind": "ami", "host": "h", "user": "u", "secret": "s", "prot": 1}}, {}, "prot"),
        ({"a b": {"kind": "ami", "host": "h", "user": "u", "secret": "s"}}, {}, "pattern"),
        (
            {"a": {"kind": "ami", "host": "h", "user": "u", "secret": "s", "extension": "("}}, {},
            "regular expression",
        ),
        (
            {"a": {"kind": "ami", "host": "h", "user": "u", "secret": "s", "extension": "x"}}, {},
            "one group",
        ),
        ({"a": {"kind": "esl", "host": "h", "secret": "s", "trunk": "("}}, {}, "trunk"),
        (
            {"a": {"kind": "ami", "host": "h", "user": "u", "secret": "s"}}, {"a": [PBX_SECRET]},
            "collide",
        ),
        ({"a": {"kind": "esl", "host": "h", "secret": "s", "port": 0}}, {}, "port"),
        ({"a": {"kind": "twilio", "url": "gateway", "tokens": ["t"]}}, {}, "url"),
        ({"a": {"kind": "twilio", "url": "https://g/", "tokens": []}}, {}, "tokens"),
    ],
    ids=["kind", "no secret", "unknown field", "name", "pattern", "no group", "trunk", "name taken",
         "port", "no url", "no token"],
)  # fmt: skip
def test_an_unusable_pbx_stops_the_start(
    pbxs: Any, secrets: Any, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the operator's mistake before anything runs, and quotes no secret."""
    monkeypatch.setenv("GATEWAY_PBXS", json.dumps(pbxs))
    monkeypatch.setenv("GATEWAY_PBX_SECRETS", json.dumps(secrets))

    with pytest.raises(ValidationError, match=wrong):
        Settings()


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [
        ("GATEWAY_PHONE_REGION", "UK", "GB"),
        ("GATEWAY_PBX_SECRETS", '{"a": {"secrets": ["whsec_s"], "region": "XX"}}', "country with"),
        ("GATEWAY_PBX_SECRETS", '{"a": {"secrets": ["whsec_s"], "region": "pl"}}', "country with"),
        ("GATEWAY_PBX_SECRETS", '{"a": {"secrets": ["whsec_s"], "regoin": "PL"}}', "regoin"),
        ("GATEWAY_PBX_SECRETS", '{"a": {"region": "PL"}}', "secrets"),
        ("GATEWAY_PBX_SECRETS", '{"a": "whsec_s"}', "list of secrets"),
        ("GATEWAY_PBXS", '{"a": {"kind": "esl", "host": "h", "secret": "s", "region": "EU"}}',
         "country with"),
    ],
)  # fmt: skip
def test_an_unknown_region_stops_the_start(
    name: str, value: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A region without telephone numbers is named before any call is stored."""
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError, match=wrong):
        Settings()


def test_a_posting_pbx_is_its_secrets_or_these_and_a_region(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A setting from before there were regions keeps its meaning."""
    x, y, z = (f"whsec_{base64.b64encode(token_bytes(24)).decode()}" for _ in range(3))
    given = {"a": [x, y], "b": {"secrets": [z], "region": "PL"}}
    monkeypatch.setenv("GATEWAY_PBX_SECRETS", json.dumps(given))

    pbxs = Settings().pbx_secrets

    assert {name: pbx.region for name, pbx in pbxs.items()} == {"a": None, "b": "PL"}
    assert pbxs["a"].plain_secrets == [x, y]


TOLD = "https://gateway.example.com/v1/telephony/twilio/cloud"
TOKEN = "an account's auth token"


def callback(status: str, number: int, **more: str) -> list[tuple[str, str]]:
    """Return the callbacks of a call at Oksana's telephone, which a caller's <Dial> rings."""
    fields = {
        "CallSid": "CAchild", "ParentCallSid": "CAparent", "Direction": "outbound-dial",
        "From": "+380671234567", "To": "client:101", "CallStatus": status,
        "Timestamp": format_datetime(datetime.now(UTC)), "SequenceNumber": str(number),
        "CallbackSource": "call-progress-events",
    }  # fmt: skip
    return list((fields | more).items())


async def test_twilios_callbacks_ring_and_are_stored_once(empty_desk: Desk) -> None:
    """A signed callback rings; repeated it is a duplicate; with a wrong signature it is refused."""
    account = {"kind": "twilio", "url": TOLD, "tokens": [TOKEN]}
    await empty_desk.start_node(pbxs={"cloud": account})
    oksana, http = await empty_desk.client(OKSANA), empty_desk.http()
    ringing = callback("ringing", 1)
    good = {"X-Twilio-Signature": sign_twilio(TOLD, ringing, token=TOKEN)}

    async def post(name: str, fields: list[tuple[str, str]], headers: dict[str, str]) -> Any:
        return await http.post(f"/v1/telephony/twilio/{name}", data=dict(fields), headers=headers)

    answers = [await post("cloud", ringing, good) for _ in range(2)]
    refusals = [
        await post("cloud", ringing, {}),
        await post("cloud", callback("completed", 1), good),
        await post("main", ringing, good),
        await post("nobody", ringing, good),
    ]
    odd = callback("dancing", 2)
    useless = await post("cloud", odd, {"X-Twilio-Signature": sign_twilio(TOLD, odd, token=TOKEN)})

    assert (await oksana.next(CallOffered)).call.status == "ringing"
    assert [answer.json()["duplicates"] == 0 for answer in answers] == [True, False]
    assert answers[1].json()["accepted"] == 0
    assert {refusal.json()["error"]["code"] for refusal in refusals} == {
        "webhook.signature_invalid"
    }
    assert useless.json()["error"]["code"] == "command.invalid"
    assert len(await empty_desk.sql("SELECT FROM realtime.call_events")) == 3


CALLER, AGENT = "CAcaller", "CAagent"


def met(at: datetime) -> list[dict[str, str]]:
    """Return what Twilio posts of a caller and of 101, who is called by the API and joins them."""
    sides = {
        CALLER: {"Direction": "inbound", "From": "+380501234567", "To": "+380441110001"},
        AGENT: {"Direction": "outbound-api", "From": "+380441110001", "To": "client:101"},
    }

    def told(second: int, sid: str, **fields: str) -> dict[str, str]:
        stamp = format_datetime(at + timedelta(seconds=second))
        return {"CallSid": sid, "Timestamp": stamp, "SequenceNumber": str(second), **fields}

    def leg(second: int, sid: str, status: str, **fields: str) -> dict[str, str]:
        return told(second, sid, CallStatus=status, **sides[sid], **fields)

    def room(second: int, sid: str, event: str) -> dict[str, str]:
        return told(second, sid, ConferenceSid="CFroom", StatusCallbackEvent=f"participant-{event}")

    return [
        leg(0, CALLER, "ringing"),
        leg(1, CALLER, "in-progress"),
        room(1, CALLER, "join"),
        leg(2, AGENT, "initiated"),
        leg(3, AGENT, "ringing"),
        leg(9, AGENT, "in-progress"),
        room(9, AGENT, "join"),
        room(129, AGENT, "leave"),
        leg(129, AGENT, "completed", CallDuration="120"),
        room(130, CALLER, "leave"),
        leg(130, CALLER, "completed", CallDuration="129"),
    ]


@pytest.mark.parametrize("backwards", [False, True])
async def test_who_meets_in_a_twilio_conference_has_one_call(
    empty_desk: Desk, *, backwards: bool
) -> None:
    """Answered by the agent for as long as both were there; nobody has to be called back."""
    await empty_desk.start_node(
        pbxs={"cloud": {"kind": "twilio", "url": TOLD, "tokens": [TOKEN]}}, sweep_s=0.1
    )
    http = empty_desk.http(DIRECTOR)
    callbacks = met(datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=20))

    for fields in reversed(callbacks) if backwards else callbacks:
        signature = sign_twilio(TOLD, list(fields.items()), token=TOKEN)
        answer = await http.post(
            "/v1/telephony/twilio/cloud", data=fields, headers={"X-Twilio-Signature": signature}
        )
        assert answer.status_code == 200, (fields, answer.text)

    async def settled() -> bool:
        rows = await empty_desk.sql(
            "SELECT FROM realtime.callback_news UNION ALL"
            " SELECT FROM realtime.callbacks WHERE state <> 'closed'"
        )
        return not rows

    await eventually(settled)
    calls = (await http.get("/v1/telephony/calls")).json()["calls"]
    missed = (await http.get("/v1/telephony/missed-calls")).json()["calls"]
    assert [(one["direction"], one["outcome"], one["answered_by"], one["talk_ms"])
            for one in calls] == [("inbound", "answered", OKSANA, 120_000)]  # fmt: skip
    assert missed == []
