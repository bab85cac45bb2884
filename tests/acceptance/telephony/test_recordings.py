"""Recordings of calls: who may listen, the audit of each link, and that none is lost."""

from __future__ import annotations

import asyncio
import random
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from pydantic import SecretStr, TypeAdapter, ValidationError

from gateway.pbx_settings import AmiPbx
from gateway.telephony.calls.recordings import recording_url
from ingest import CallEvent, RecordingState, group_by_call, shift
from ingest.model.events import derive_id
from tests.support.call_truth import calls_of
from tests.support.calls import ANSWERED, RECORDINGS, play, recorded, signed
from tests.support.desk import DIRECTOR, OKSANA, PETRO, Desk

CALLS = "/v1/telephony/calls"
URL = "https://rec.example.com/1?token=a b".replace(" ", "%20")
TRANSFER = next(RECORDINGS.glob("s05_sip_attended_transfer*.jsonl.gz"))


async def post(desk: Desk, *events: dict[str, Any]) -> dict[str, Any]:
    """Post events as a PBX does whose clock is the gateway's."""
    now = datetime.now(UTC).isoformat()
    body = orjson.dumps([{"call_key": "c1", "occurred_at": now, **event} for event in events])
    answer = await desk.http().post("/v1/telephony/events", content=body, headers=signed(body))
    result: dict[str, Any] = answer.json()
    assert result.get("rejected") == [], result
    return result


async def a_recorded_call(desk: Desk, name: str = "r1", **ready: Any) -> str:
    """Post a call of Oksana's with one recording that is named like the call."""
    events: tuple[dict[str, Any], ...] = (
        {"type": "call.started", "leg_key": "a", "attrs": {"number": "+380671234567"}},
        {"type": "leg.ringing", "leg_key": "b", "extension": "101"},
        {"type": "leg.answered", "leg_key": "b"},
        {"type": "recording.started", "leg_key": "b", "attrs": {"recording": name}},
        {"type": "call.ended"},
        {
            "type": "recording.ready",
            "attrs": {"recording": name, "url": URL, "duration_ms": 4_000, "channels": 2, **ready},
        },
    )
    for event in events:
        event["call_key"] = name
        if "leg_key" in event:
            event["leg_key"] += name
    await post(desk, *events)
    (row,) = await desk.sql(
        "SELECT call_id FROM realtime.call_recordings WHERE recording = $1", name
    )
    return str(row["call_id"])


async def test_a_link_is_issued_to_those_who_may_listen_and_audited(small_desk: Desk) -> None:
    """As JSON or as a redirect; the call itself has only the path at which to request it."""
    call_id = await a_recorded_call(small_desk)
    director = small_desk.http(DIRECTOR)
    read = await director.get(f"{CALLS}/{call_id}")
    (shown,) = read.json()["recordings"]

    link = await director.get(shown["link"])
    moved = await director.get(shown["link"], params={"redirect": "true"})

    assert (shown["state"], shown["duration_ms"], shown["employee_id"]) == ("ready", 4_000, OKSANA)
    assert link.json() == {"recording": shown, "url": URL}
    assert (moved.status_code, moved.headers["location"], moved.content) == (302, URL, b"")
    assert "no-store" in link.headers["cache-control"]
    assert "rec.example.com" not in read.text
    told = [fact for fact in read.json()["timeline"] if fact["type"].startswith("recording.")]
    assert sorted(sorted(fact["attrs"]) for fact in told) == [[], ["channels", "duration_ms"]]
    audit = await small_desk.sql("SELECT actor_id, details FROM realtime.audit WHERE act = $1",
                           "recording.listen")  # fmt: skip
    assert [(row["actor_id"], orjson.loads(row["details"])) for row in audit] == [
        (DIRECTOR, {"call_id": call_id, "recording_id": shown["recording_id"]})
    ] * 2

    # A path becomes a URL by the PBX's template, and without one is listed, and stays here.
    of_path = await a_recorded_call(small_desk, "r2", url="2026/11/in-101.wav")
    (kept,) = (await director.get(f"{CALLS}/{of_path}")).json()["recordings"]
    path = f"{CALLS}/{of_path}/recordings/{kept['recording_id']}"
    assert (kept["state"], kept["link"]) == ("ready", None)
    unready = await director.get(path)
    assert (unready.status_code, unready.json()["error"]["code"]) == (409, "recording.not_ready")
    small_desk.nodes[0].settings.pbxs["main"] = AmiPbx(
        kind="ami", host="127.0.0.1", user="u", secret=SecretStr("s"),
        recordings_url="https://rec.example.com/{path}",
    )  # fmt: skip
    assert (await director.get(path)).json()["url"] == (
        "https://rec.example.com/2026/11/in-101.wav"
    )
    (listens,) = await small_desk.sql("SELECT count(*) FROM realtime.audit")
    assert listens["count"] == 3


async def test_recordings_are_hidden_from_those_who_may_not_listen(small_desk: Desk) -> None:
    """An agent sees the call without them; with the permission or a review of them, with them."""
    call_id = await a_recorded_call(small_desk)
    recording_id = derive_id("main", "recording:r1")
    path = f"{CALLS}/{call_id}/recordings/{recording_id}"
    oksana, petro = small_desk.http(OKSANA), small_desk.http(PETRO)

    hidden = await oksana.get(path)
    none = await oksana.get(f"{CALLS}/{call_id}/recordings/{uuid.uuid4()}")
    others = await petro.get(path)
    nobodys = await petro.get(f"{CALLS}/{uuid.uuid4()}/recordings/{recording_id}")

    assert (await oksana.get(f"{CALLS}/{call_id}")).json()["recordings"] == []
    assert (hidden.status_code, hidden.content) == (404, none.content)
    assert hidden.json()["error"]["code"] == "recording.not_found"
    assert (others.status_code, others.content) == (404, nobodys.content)
    assert others.json()["error"]["code"] == "call.not_found"
    assert await small_desk.sql("SELECT FROM realtime.audit") == []
    for wrong in (f"{CALLS}/{call_id}/recordings/1", f"{path}?redirect=perhaps"):
        assert (await small_desk.http(DIRECTOR).get(wrong)).status_code == 422

    await small_desk.sql(
        "UPDATE demo_crm.roles SET permissions = permissions || '{recordings.listen}'::text[]"
        " WHERE id = 1"
    )
    small_desk.forget_identities()
    assert (await oksana.get(path)).status_code == 200
    assert (await petro.get(path)).status_code == 404


async def test_a_link_in_another_event_is_not_shown(small_desk: Desk) -> None:
    """Only recording events have the location of a recording; in other events it is hidden."""
    call_id = await a_recorded_call(small_desk)
    elsewhere = {"type": "leg.ended", "call_key": "r1", "leg_key": "br1",
                 "occurred_at": datetime.now(UTC).isoformat()}  # fmt: skip
    for attrs in ({"url": URL}, {"recording": "r1"}):
        body = orjson.dumps([{**elsewhere, "attrs": attrs}])
        answer = await small_desk.http().post(
            "/v1/telephony/events", content=body, headers=signed(body)
        )
        (refused,) = answer.json()["rejected"]
        assert refused["code"] == "event.invalid"
    await small_desk.sql(
        "UPDATE realtime.call_events SET attrs = attrs || $1::jsonb",
        orjson.dumps({"url": URL, "recording": "r1", "reason": "kept"}).decode(),
    )

    read = await small_desk.http(OKSANA).get(f"{CALLS}/{call_id}")

    assert "rec.example.com" not in read.text
    assert all("recording" not in fact["attrs"] for fact in read.json()["timeline"])
    assert [fact["attrs"]["reason"] for fact in read.json()["timeline"]] == ["kept"] * 6


async def test_no_recording_is_lost_in_an_attended_transfer(desk: Desk) -> None:
    """Those of both halves stay with the call, through two nodes, in any order."""
    events = await recorded(TRANSFER)
    legs = sorted({one.leg_key for one in events if one.type == "leg.answered" and one.leg_key})
    told: list[CallEvent] = []
    for leg in legs:
        at = min(one.occurred_at for one in events if one.leg_key == leg)
        for kind, after, attrs in (
            ("recording.started", 0, {"recording": f"/rec/{leg}.wav"}),
            ("recording.stopped", 2, {"recording": f"/rec/{leg}.wav", "url": f"/rec/{leg}.wav"}),
        ):
            told.append(
                CallEvent(
                    event_id=derive_id("main", f"{kind}{leg}"), source="main", leg_key=leg,
                    type=kind, occurred_at=at + timedelta(seconds=after), attrs=attrs,  # type: ignore[arg-type]
                )
            )  # fmt: skip
    everything = sorted(events + told, key=lambda one: one.occurred_at)
    apart = next(n for n in range(len(everything), 0, -1) if len(group_by_call(everything[:n])) > 1)
    dice = random.Random(11)
    halves = everything[:apart], everything[apart:] + dice.choices(everything, k=30)
    pipelines = [node.app.state.gateway.pipeline for node in desk.nodes]

    for half in halves:
        dice.shuffle(half)
        for first in range(0, len(half), 18):
            parts = half[first : first + 9], half[first + 9 : first + 18]
            await asyncio.gather(
                *(pipe.submit(part) for pipe, part in zip(pipelines, parts, strict=True) if part)
            )
        (calls,) = await desk.sql("SELECT count(DISTINCT call_id) FROM realtime.call_recordings")
        assert calls["count"] == (2 if half is halves[0] else 1)

    (expected,) = calls_of(everything)
    stored = await desk.sql(
        "SELECT call_id, id, url, state, duration_ms FROM realtime.call_recordings"
        " ORDER BY started_at, id"
    )
    (winner,) = await desk.sql("SELECT id FROM realtime.call_sessions WHERE merged_into IS NULL")
    assert len(legs) > 2
    assert {row["call_id"] for row in stored} == {winner["id"]}
    assert [(row["id"], row["url"], row["state"], row["duration_ms"]) for row in stored] == [
        (one.id, one.url, one.state, one.duration_ms) for one in expected.recordings
    ]


async def test_a_link_that_comes_a_week_later_is_found(small_desk: Desk) -> None:
    """The call's version rises, and nothing else of it changes."""
    events = shift(await recorded(ANSWERED), timedelta(days=-8))
    await play(small_desk, events)
    (before,) = await small_desk.sql("SELECT * FROM realtime.call_sessions")
    key = next(one.leg_key for one in events if one.leg_key)

    await post(small_desk, {"type": "recording.ready", "call_key": key, "leg_key": key,
                      "attrs": {"recording": "r", "url": URL}})  # fmt: skip

    (after,) = await small_desk.sql("SELECT * FROM realtime.call_sessions")
    same = ("started_at", "ended_at", "outcome", "talk_ms", "wait_ms", "number_e164")
    assert after["version"] == before["version"] + 1
    assert [after[name] for name in same] == [before[name] for name in same]
    (row,) = await small_desk.sql("SELECT state, url FROM realtime.call_recordings")
    assert (row["state"], row["url"]) == ("ready", URL)


@pytest.mark.parametrize(
    ("place", "template", "found"),
    [
        ("https://a.example/1", None, "https://a.example/1"),
        ("HTTPS://a.example/1", "https://b.example/{id}", "HTTPS://a.example/1"),
        ("/var/a b/ю.wav", "https://b.example/{path}", "https://b.example/var/a%20b/%D1%8E.wav"),
        ("C:\\rec\\{id}.wav", "https://b.example/?f={name}", "https://b.example/?f=%7Bid%7D.wav"),
        ("/var/x.wav", "https://b.example/{id}/{name}", "https://b.example/r%2F1/x.wav"),
        ("/var/x.wav", None, None),
        (None, "https://b.example/{id}", None),
    ],
)
def test_a_path_becomes_a_url_by_the_template(
    place: str | None, template: str | None, found: str | None
) -> None:
    """Nothing in the PBX's path can leave its place in the URL."""
    one = RecordingState(
        id=uuid.uuid4(), recording="r/1", leg_key=None, extension=None, state="ready",
        started_at=datetime.now(UTC), url=place,
    )  # fmt: skip

    assert recording_url(one, template) == found
    assert recording_url(replace(one, state="recording"), template) is None


@pytest.mark.parametrize(
    "template",
    ["https://{path}/", "ftp://a/{path}", "https://a.example/all", "https://a.example/{file}",
     "https://a.example/{path", "https://a.example/{}", "https://a.example/ {path}"],
)  # fmt: skip
def test_a_template_that_cannot_work_is_refused_at_the_start(template: str) -> None:
    """Its host has no placeholder, and the names in braces are known."""
    named = {"kind": "ami", "host": "a", "user": "u", "secret": "s", "recordings_url": template}

    with pytest.raises(ValidationError, match="recordings_url"):
        TypeAdapter(AmiPbx).validate_python(named)
