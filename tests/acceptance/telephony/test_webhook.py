"""Invalid input in a PBX's post affects only the event that holds it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import httpx2
import orjson

from gateway.db import connect
from ingest import IngestSettings, sign_twilio
from tests.support.calls import ringing, signed
from tests.support.desk import PBX_SECRET, Desk

EVENTS = "/v1/telephony/events"
CONFIGURED_URL = "https://gateway.example.com/v1/telephony/twilio/cloud"
TWILIO = {"cloud": {"kind": "twilio", "url": CONFIGURED_URL, "tokens": ["a token"]}}


async def post(desk: Desk, body: bytes, *, source: str = "main") -> httpx2.Response:
    return await desk.http().post(
        EVENTS, params={"source": source}, content=body, headers=signed(body)
    )


async def call_back(desk: Desk, **fields: str) -> httpx2.Response:
    """Post a status callback of an inbound call, as Twilio does; fields change it."""
    said = {
        "CallSid": "CA1", "Direction": "inbound", "From": "+380671234567", "To": "+380441234567",
        "CallStatus": "ringing", "Timestamp": format_datetime(datetime.now(UTC)),
        "SequenceNumber": "1",
    } | fields  # fmt: skip
    signature = sign_twilio(CONFIGURED_URL, list(said.items()), token="a token")
    return await desk.http().post(
        "/v1/telephony/twilio/cloud", data=said, headers={"X-Twilio-Signature": signature}
    )


def array(*items: bytes | dict[str, Any]) -> bytes:
    """Encode a batch; bytes are encoded already."""
    printed = (item if isinstance(item, bytes) else orjson.dumps(item) for item in items)
    return b"[" + b",".join(printed) + b"]"


SPOILT = {
    "half a character": rb'"\ud83d"',
    "two halves the wrong way round": rb'"\ude00\ud83d"',
    "half a character in UTF-8": b'"\xed\xa0\xbd"',
    "a name in another encoding": b'"' + "Андрій".encode("cp1251") + b'"',
    "a number beyond all floats": b"1e400",
    "5,000 digits": b"9" * 5_000,
}


async def test_a_text_that_strict_json_refuses_rejects_one_event(small_desk: Desk) -> None:
    """The event that holds it is rejected as invalid; those around it are stored as they are."""
    answers = {}
    for number, (what, name) in enumerate(SPOILT.items()):
        fine = [{**ringing(n), "attrs": {"name": "Оля 😀"}} for n in (3 * number, 3 * number + 2)]
        spoilt = orjson.dumps({**ringing(3 * number + 1), "attrs": {"name": "?"}})
        body = array(fine[0], spoilt.replace(b'"?"', name), fine[1])
        answers[what] = (await post(small_desk, body)).json()

    stored = await small_desk.sql("SELECT attrs->>'name' AS name FROM realtime.call_events")
    for what, taken in answers.items():
        assert taken.get("accepted") == 2, (what, taken)
        refused = [(one["index"], one["code"]) for one in taken["rejected"]]
        assert refused == [(1, "event.invalid")], what
    assert [row["name"] for row in stored] == ["Оля 😀"] * 2 * len(SPOILT)


NO_JSON = {
    "NaN": rb'["\ud83d",NaN]',
    "minus infinity": rb'["\ud83d",-Infinity]',
    "half a body": rb'["\ud83d",',
    "UTF-16": '["a"]'.encode("utf-16"),
    "900 brackets too many": rb'["\ud83d",' + b"[" * 1_900 + b"]" * 1_901,
    "500,000 brackets": rb'["\ud83d",' + b"[" * 500_000,
}


async def test_a_body_that_is_no_json_is_refused(small_desk: Desk) -> None:
    """Tolerance for a text does not apply to the body, nor to nesting beyond the limit."""
    answers = {what: await post(small_desk, body) for what, body in NO_JSON.items()}

    refusals = {what: (one.status_code, one.json()) for what, one in answers.items()}
    codes = {what: (status, body["error"]["code"]) for what, (status, body) in refusals.items()}
    assert codes == dict.fromkeys(NO_JSON, (400, "frame.malformed"))


async def test_a_callback_answers_what_became_of_each_event(empty_desk: Desk) -> None:
    """Each of its events is accepted, a duplicate or rejected."""
    await empty_desk.start_node(pbxs=TWILIO)
    await empty_desk.sql(
        "ALTER TABLE realtime.call_events ADD CONSTRAINT odd CHECK (type <> 'leg.answered')"
    )

    taken = (
        await call_back(
            empty_desk, CallSid="CA2", ParentCallSid="CA1", CallStatus="in-progress",
            Direction="outbound-dial", To="client:101",
        )
    ).json()  # fmt: skip

    (rejected,) = taken["rejected"]
    assert (taken["accepted"], taken["duplicates"]) == (4, 0)
    assert (rejected["index"], rejected["code"]) == (2, "event.failed")


async def test_each_pbx_has_its_own_country(empty_desk: Desk) -> None:
    """A national number is read by the PBX's country, or the gateway's when it has none."""
    pbxs = {"main": {"secrets": [PBX_SECRET], "region": "PL"}, "home": [PBX_SECRET]}
    await empty_desk.start_node(pbx_secrets=pbxs)
    body = array(
        {**ringing(1), "attrs": {"number": "22 123 45 67"}},
        {**ringing(2), "attrs": {"number": "067 123 45 67"}},
    )

    for name in pbxs:
        await post(empty_desk, body, source=name)

    rows = await empty_desk.sql(
        "SELECT source, attrs->>'number_e164' AS number FROM realtime.call_events"
    )
    assert {(row["source"], row["number"]) for row in rows} == {
        ("main", "+48221234567"), ("main", None), ("home", None), ("home", "+380671234567"),
    }  # fmt: skip


async def figures(desk: Desk) -> dict[str, float]:
    """Read the node's metrics of ingest."""
    lines = (await desk.http().get("/metrics")).text.splitlines()
    pairs = (line.split() for line in lines if line.startswith("gateway_ingest_"))
    return {name.removeprefix("gateway_ingest_"): float(value) for name, value in pairs}


async def test_rejected_events_are_stored_and_counted(empty_desk: Desk) -> None:
    """Each with its reason and as it was sent, before the answer; the figures add up."""
    await empty_desk.start_node(pbxs=TWILIO)
    spoilt = orjson.dumps({**ringing(2), "attrs": {"name": "?"}}).replace(b"?", rb"\ud83d")
    body = array({**ringing(1), "type": "leg.exploded"}, spoilt, b'"text"', ringing(3))

    taken = (await post(empty_desk, body)).json()
    useless = await call_back(empty_desk, CallStatus="dancing")

    kept = await empty_desk.sql("SELECT * FROM realtime.ingest_rejects ORDER BY id")
    told = [(one["code"], one["message"]) for one in taken["rejected"]]
    assert useless.json()["error"] == {
        "code": "command.invalid", "message": "CallStatus is missing or unknown.",
    }  # fmt: skip
    assert [(row["code"], row["message"]) for row in kept] == [
        *told, ("event.invalid", "CallStatus is missing or unknown"),
    ]  # fmt: skip
    assert [row["source"] for row in kept] == ["main"] * 3 + ["cloud"]
    for row, part in zip(kept, ["leg.exploded", r"\ud83d", '"text"', "dancing"], strict=True):
        assert part in row["event"]
    counted = await figures(empty_desk)
    assert (counted["received_total"], counted["rejected_total"]) == (5, 4)
    assert (counted["accepted_total"], counted["duplicates_total"]) == (1, 0)


async def test_a_reject_that_cannot_be_stored_is_answered_like_an_event(desk: Desk) -> None:
    """With 503: the batch is sent again, and its stored events are duplicates then."""
    store = desk.nodes[0].app.state.gateway.pipeline._store
    store._settings = replace(store._settings, database_timeout_s=0.3)
    body = array(ringing(1), b'"text"')
    lock = await connect(desk.database, application_name="test-lock")
    try:
        async with lock.transaction():
            await lock.execute("LOCK TABLE realtime.ingest_rejects")
            away = await post(desk, body)
    finally:
        await lock.close()
    store._settings = IngestSettings()
    again = (await post(desk, body)).json()

    assert (away.status_code, away.json()["error"]["code"]) == (503, "database.unavailable")
    assert (again["duplicates"], len(again["rejected"])) == (1, 1)
