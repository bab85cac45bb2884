"""A recorded queue call rings on the agent's screen, with the customer's name."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson

from gateway.protocol import CallEnded, CallList, CallOffered, CallUpdated
from ingest import shift
from tests.support.calls import ANSWERED, NO_ANSWER_THEN_NEXT, RECORDINGS, play, recorded, signed
from tests.support.desk import OKSANA, PETRO, Desk, nothing_within


async def test_the_agent_sees_offered_answered_ended_in_order(desk: Desk) -> None:
    """One call, three kinds of event, rising versions, and who the customer is."""
    oksana = await desk.client(OKSANA, node=1)

    await play(desk, await recorded(ANSWERED))

    offered = (await oksana.next(CallOffered)).call
    assert offered.status == "ringing"
    assert offered.customer is not None
    assert offered.customer.name == "Ivan Petrenko"
    assert offered.number == "+380671234567"
    assert offered.queue == "sales"
    answered = (await oksana.next(CallUpdated)).call
    while answered.status != "talking":
        answered = (await oksana.next(CallUpdated)).call
    assert answered.answered_by == OKSANA
    ended = (await oksana.next(CallEnded)).call
    assert ended.outcome == "answered"
    assert offered.version < answered.version < ended.version
    assert ended.talk_ms is not None
    assert abs(ended.talk_ms - 6_020) < 1_000


async def test_a_transferred_call_has_who_transferred_it_and_to_whom(desk: Desk) -> None:
    """The agent who received it sees by whom, live and in the list."""
    petro = await desk.client(PETRO, node=1)
    moved = RECORDINGS / "l09_blind_transfer_to_agent.jsonl.gz"

    await play(desk, await recorded(moved))

    ended = (await petro.next(CallEnded)).call
    (transfer,) = ended.transfers
    assert (transfer.kind, transfer.by, transfer.to) == ("blind", OKSANA, PETRO)
    assert transfer.answered_at is not None
    (listed,) = (await petro.request(CallList())).calls
    assert listed.transfers == ended.transfers


async def test_a_softphone_finds_its_leg_by_its_sip_call_id(desk: Desk) -> None:
    """The PBX sent it while the telephone rang: it is on the leg in the pop-up and in the list."""
    oksana = await desk.client(OKSANA, node=1)
    events = await recorded(ANSWERED)
    rings = next(event for event in events if event.type == "leg.ringing")
    with_id = replace(rings, event_id=uuid4(), attrs={"sip_call_id": "a84b4c76e66710@softphone"})

    await desk.nodes[0].app.state.gateway.pipeline.submit(
        [*events[: events.index(rings) + 1], with_id]
    )

    (offered,) = [leg for leg in (await oksana.next(CallOffered)).call.legs if leg.employee_id]
    (listed,) = (await oksana.request(CallList())).calls
    assert (offered.employee_id, offered.sip_call_id) == (OKSANA, "a84b4c76e66710@softphone")
    assert [leg.sip_call_id for leg in listed.legs] == [None, "a84b4c76e66710@softphone"]


async def test_a_second_agent_is_offered_the_call_that_the_first_did_not_answer(desk: Desk) -> None:
    """The call leaves the first screen and comes to the second; the customer missed nothing."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)

    await play(desk, await recorded(NO_ANSWER_THEN_NEXT))

    assert (await oksana.next(CallOffered)).call.status == "ringing"
    offered = (await petro.next(CallOffered)).call
    ended = (await petro.next(CallEnded)).call
    assert offered.id == ended.id
    assert ended.answered_by == PETRO
    assert ended.outcome == "answered"
    assert await desk.sql("SELECT FROM realtime.missed_calls") == []


async def test_replaying_twice_makes_the_same_calls_once(desk: Desk) -> None:
    """The same recording again, on another node and later, changes and announces nothing."""
    events = await recorded(ANSWERED)
    oksana = await desk.client(OKSANA, node=1)
    await play(desk, events)
    await oksana.next(CallEnded)
    before = await desk.sql("SELECT * FROM realtime.call_sessions")

    receipt = await desk.nodes[1].app.state.gateway.pipeline.submit(
        shift(events, datetime.now(UTC) - events[0].occurred_at)
    )

    assert (receipt.accepted, receipt.duplicates) == (0, len(events))
    assert await desk.sql("SELECT * FROM realtime.call_sessions") == before
    await nothing_within(oksana.next(CallEnded), 0.3)


async def test_a_reconnecting_agent_finds_the_live_call_in_the_welcome(desk: Desk) -> None:
    """A client that missed the ringing receives the call as it is now."""
    events = await recorded(ANSWERED)
    halfway = next(i for i, e in enumerate(events) if e.type == "queue.connected") + 1
    await play(desk, events[:halfway])

    oksana = await desk.client(OKSANA, node=1)

    (call,) = oksana.welcome.calls
    assert call.status == "talking"
    assert call.customer is not None
    assert call.customer.name == "Ivan Petrenko"


async def test_calls_are_listed_for_those_who_took_part_and_who_may_see_all(desk: Desk) -> None:
    """Agents list their own calls; with calls.view_all everyone's."""
    await play(desk, await recorded(ANSWERED))
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO)
    supervisors = await desk.sql(
        "SELECT min(employee_id) AS id FROM crm.permissions WHERE permission = 'calls.view_all'"
    )
    supervisor = await desk.client(supervisors[0]["id"])

    mine = await oksana.request(CallList())
    his = await petro.request(CallList())
    everyones = await supervisor.request(CallList(outcome="answered", limit=1))

    assert [call.answered_by for call in mine.calls] == [OKSANA]
    assert his.calls == []
    assert everyones.calls == mine.calls


async def test_calls_are_paged_one_by_one(desk: Desk) -> None:
    """Each call is on one page, newest first, on the socket and over HTTP."""
    for name in ("l01", "l02", "l05"):
        (path,) = RECORDINGS.glob(f"{name}*.jsonl.gz")
        await play(desk, await recorded(path))
    oksana, http = await desk.client(OKSANA), desk.http(OKSANA)

    seen, cursor = [], None
    while True:
        page = await oksana.request(CallList(limit=1, cursor=cursor))
        seen += [str(call.id) for call in page.calls]
        cursor = page.next
        if cursor is None:
            break
    first = (await http.get("/v1/telephony/calls", params={"limit": 2})).json()
    second = await http.get("/v1/telephony/calls", params={"limit": 2, "cursor": first["next"]})

    everything = (await http.get("/v1/telephony/calls")).json()["calls"]
    assert seen == [call["id"] for call in everything]
    assert seen == [call["id"] for call in (*first["calls"], *second.json()["calls"])]
    assert len(seen) == 3


async def test_a_pbx_that_only_posts_rings_too(desk: Desk) -> None:
    """The documented example of a webhook, from ringing to the end."""
    oksana, http = await desk.client(OKSANA, node=1), desk.http()
    now = datetime.now(UTC)

    async def post(**event: Any) -> None:
        body = orjson.dumps([{"call_key": "c1", "occurred_at": now.isoformat(), **event}])
        answer = await http.post("/v1/telephony/events", content=body, headers=signed(body))
        assert answer.json()["accepted"] == 1, answer.text

    await post(type="call.started", leg_key="a", attrs={"number": "+380671234567"})
    await post(type="leg.ringing", leg_key="b", extension="101")

    offered = (await oksana.next(CallOffered)).call
    assert offered.customer is not None
    assert offered.customer.name == "Ivan Petrenko"
    await post(type="leg.ended", leg_key="b")
    await post(type="leg.ended", leg_key="a")
    assert (await oksana.next(CallEnded)).call.outcome in {"abandoned", "missed"}


async def test_the_replay_command_rings_on_a_running_node(small_desk: Desk) -> None:
    """`gateway replay` is a process of its own; the agent receives its calls through the bus."""
    oksana = await small_desk.client(OKSANA)

    replaying = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "replay", str(ANSWERED), "--speed", "100",
        env={
            "GATEWAY_DATABASE_URL": small_desk.database,
            "GATEWAY_REDIS_URL": small_desk.redis_url,
            "PATH": "/usr/bin:/bin",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await replaying.communicate()

    assert replaying.returncode == 0, output
    assert b"0 duplicates" in output
    assert (await oksana.next(CallOffered)).call.number == "+380671234567"
    assert (await oksana.next(CallEnded)).call.outcome == "answered"
