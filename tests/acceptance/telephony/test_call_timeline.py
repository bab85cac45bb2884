"""One call with all its events, for those who may see it."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from gateway.protocol import CallList
from tests.support.calls import ANSWERED, play, recorded
from tests.support.desk import OKSANA, PETRO, Desk

CALLS = "/v1/telephony/calls"


async def test_a_call_is_read_with_all_its_pbx_events(desk: Desk) -> None:
    """The facts are in the order of time, as many as the PBX sent, beside the call itself."""
    events = await recorded(ANSWERED)
    await play(desk, events)
    http = desk.http(OKSANA)
    (listed,) = (await http.get(CALLS)).json()["calls"]

    read = (await http.get(f"{CALLS}/{listed['id']}")).json()

    assert read["call"] == listed
    assert not read["more"]
    moments = [fact["at"] for fact in read["timeline"]]
    assert moments == sorted(moments)
    stored = await desk.sql(
        "SELECT event_id FROM realtime.call_events WHERE call_id = $1", uuid.UUID(listed["id"])
    )
    assert {fact["event_id"] for fact in read["timeline"]} == {str(row[0]) for row in stored}
    assert {"queue.entered", "queue.connected", "leg.ended"} <= {
        fact["type"] for fact in read["timeline"]
    }


async def test_calls_of_others_look_as_if_they_did_not_exist(desk: Desk) -> None:
    """Those who took no part get the answer for an unknown call; calls.view_all sees all."""
    await play(desk, await recorded(ANSWERED))
    (call,) = await desk.sql("SELECT id FROM realtime.call_sessions")
    supervisors = await desk.sql(
        "SELECT min(employee_id) AS id FROM crm.permissions WHERE permission = 'calls.view_all'"
    )

    others = await desk.http(PETRO).get(f"{CALLS}/{call['id']}")
    nobodys = await desk.http(PETRO).get(f"{CALLS}/{uuid.uuid4()}")
    supervisor = await desk.http(supervisors[0]["id"]).get(f"{CALLS}/{call['id']}")

    assert (others.status_code, others.content) == (404, nobodys.content)
    assert others.json()["error"]["code"] == "call.not_found"
    assert supervisor.json()["call"]["id"] == str(call["id"])
    assert (await desk.http(PETRO).get(f"{CALLS}/one")).status_code == 422


async def test_a_merged_call_leads_to_its_target(desk: Desk) -> None:
    """An old link to a consultation still finds the conversation that it belonged to."""
    await play(desk, await recorded(ANSWERED))
    (call,) = await desk.sql("SELECT id FROM realtime.call_sessions")
    old = uuid.uuid4()
    await desk.sql(
        "INSERT INTO realtime.call_sessions (id, source, version, direction, status, started_at,"
        " first_event_at, last_event_at, merged_into)"
        " VALUES ($1, 'main', 1, 'internal', 'ended', now(), now(), now(), $2)",
        old,
        call["id"],
    )

    found = await desk.http(OKSANA).get(f"{CALLS}/{old}")

    assert found.json()["call"]["id"] == str(call["id"])
    assert (await desk.http(PETRO).get(f"{CALLS}/{old}")).status_code == 404


async def test_calls_are_found_by_their_properties(desk: Desk) -> None:
    """By direction, queue, number and time, on the socket and over HTTP; none when they differ."""
    await play(desk, await recorded(ANSWERED))
    oksana, http = await desk.client(OKSANA), desk.http(OKSANA)
    (call,) = (await oksana.request(CallList())).calls
    assert call.number is not None
    later = call.started_at + timedelta(milliseconds=1)
    fitting: list[dict[str, Any]] = [
        {"direction": "inbound"},
        {"queue": "sales"},
        {"number": call.number},
        {"since": call.started_at},
        {"until": later},
    ]
    others: list[dict[str, Any]] = [
        {"direction": "outbound"},
        {"queue": "support"},
        {"number": "+380000000000"},
        {"since": later},
        {"until": call.started_at},
    ]

    for asked, count in [(asked, 1) for asked in fitting] + [(asked, 0) for asked in others]:
        assert len((await oksana.request(CallList(**asked))).calls) == count, asked
        params = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asked.items()
        }
        assert len((await http.get(CALLS, params=params)).json()["calls"]) == count, asked
    assert (await http.get(CALLS, params={"queue": "a\0b"})).status_code == 422
    assert (await http.get(CALLS, params={"since": "2026-01-01T00:00:00"})).status_code == 422
