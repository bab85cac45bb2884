"""Several callers in one conference, stored: each keeps a call, whatever is cached or lost."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.db import Pool
from gateway.telephony.agents.queries import agents
from gateway.telephony.calls.queries import timeline
from ingest import Pipeline
from ingest.model.call_state import CallState
from ingest.model.events import CallEvent
from ingest.queries import connectors
from ingest.upkeep.lost_calls import end_lost_calls
from tests.integration.test_rebuild import rebuilt, snapshot
from tests.support.ingest_tools import SETTINGS, RecordedAnnouncements, stored_calls
from tests.support.scripted_pbx import ScriptedPbx
from tests.unit.test_conference_calls import ROOM, Plan, played

FIRST, SECOND, THIRD = (f"PJSIP/trunk-0000000{number}" for number in (0, 1, 2))
AGENT, COLLEAGUE = "PJSIP/301-00000011", "PJSIP/302-00000012"
CONFERENCE = {"BridgeCreator": "ConfBridge", "BridgeName": "7100"}


def two_callers() -> list[CallEvent]:
    """Return the events of two callers and an agent who dialled in between them."""
    plan = Plan(random.Random(0), {FIRST: (5, 60), SECOND: (20, 90)}, {AGENT: (10, 95)})
    return played(plan).heard


def known(call: CallState) -> dict[str, Any]:
    return {
        "number": call.number_raw, "outcome": call.outcome, "room": call.room,
        "by": call.answered_extension, "talk": call.talk_ms,
        "legs": [(leg.leg_key, leg.talk_ms, leg.overlap_ms, leg.shared) for leg in call.legs],
    }  # fmt: skip


async def inbound(pool: Pool) -> list[CallState]:
    found = [call for call in await stored_calls(pool) if call.direction == "inbound"]
    return sorted(found, key=lambda call: call.started_at)


@pytest.mark.parametrize("cached", [True, False], ids=["one process", "a process for each event"])
async def test_the_second_callers_call_goes_on_under_its_id(pool: Pool, cached: bool) -> None:
    """It began before its caller entered the conference; clients see it answered, not ended."""
    events, announced = two_callers(), RecordedAnnouncements()
    entered = next(i for i, e in enumerate(events) if e.leg_key == SECOND and e.attrs.get("room"))
    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        for event in events[:entered]:
            await pipeline.submit([event])
        (before,) = (call for call in await inbound(pool) if call.number_raw == "+380670000001")
        for event in events[entered:]:
            if cached:
                await pipeline.submit([event])
            else:
                async with Pipeline(pool, announce=announced, settings=SETTINGS) as other:
                    await other.submit([event])

    first, second = await inbound(pool)

    assert second.id == before.id
    assert second.merged_into is None
    assert second.events_in == first.id
    assert [call.outcome for call in (first, second)] == ["answered", "answered"]
    assert [call.answered_extension for call in (first, second)] == ["301", "301"]
    ended = [c.after.id for c in announced.changes if c.after.id == second.id and c.ended]
    assert ended == [second.id]
    assert await pool.fetchval("SELECT count(*) FROM realtime.missed_calls") == 0


@pytest.mark.parametrize("seed", range(4))
async def test_however_the_events_come_the_calls_are_the_same(pool: Pool, seed: int) -> None:
    """One by one, shuffled, in one batch: what is stored is what is folded."""
    plan = Plan.of(seed)
    pbx, dice = played(plan), random.Random(seed)
    events = list(pbx.heard)
    if seed:
        dice.shuffle(events)
    step = (1, 3, 10, len(events))[seed]

    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as pipeline:
        for first in range(0, len(events), step):
            await pipeline.submit(events[first : first + step])

    wanted = [known(call) for call in pbx.calls if call.direction == "inbound"]
    stored = [known(call) for call in await inbound(pool)]
    assert sorted(stored, key=lambda one: str(one["number"])) == sorted(
        wanted, key=lambda one: str(one["number"])
    )


async def test_wrong_rows_come_right_in_a_rebuild(pool: Pool) -> None:
    """Those of every caller; right ones are not written, lost ones come back."""
    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as pipeline:
        await pipeline.submit(two_callers())
    before = await snapshot(pool)

    idle = await rebuilt(pool)
    await pool.execute("UPDATE realtime.call_sessions SET room = NULL, talk_ms = 1")
    await pool.execute("UPDATE realtime.call_legs SET shared = false, overlap_ms = NULL")
    first = await rebuilt(pool)
    after = await snapshot(pool)
    second = await rebuilt(pool)
    await pool.execute("DELETE FROM realtime.call_sessions")
    back = await rebuilt(pool)

    assert (idle.changed, second.changed) == (0, 0)
    assert first.changed == len(before["call_sessions"])
    assert after == before
    assert back.restored == len(before["call_sessions"])
    assert sorted(
        (row["number_raw"], row["outcome"], row["talk_ms"], row["room"])
        for (row,) in (await snapshot(pool))["call_sessions"]
    ) == sorted(
        (row["number_raw"], row["outcome"], row["talk_ms"], row["room"])
        for (row,) in before["call_sessions"]
    )


async def test_a_row_that_an_old_node_wrote_is_divided_with_the_next_event(pool: Pool) -> None:
    """It knows one call only; the second caller's appears when a new node folds it."""
    events = two_callers()
    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as pipeline:
        await pipeline.submit(events[:-1])
    await pool.execute("DELETE FROM realtime.call_sessions WHERE events_in IS NOT NULL")

    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as pipeline:
        await pipeline.submit(events[-1:])

    assert [call.outcome for call in await inbound(pool)] == ["answered", "answered"]


def met_alone() -> ScriptedPbx:
    """Return two callers in a room; the second rings a colleague once the first has left."""
    pbx = ScriptedPbx()
    for at, caller in enumerate((FIRST, SECOND)):
        pbx.at(5 + at)
        pbx.new(caller, of=caller, number=f"+38067000000{at}")
        pbx.enter(ROOM, caller, **CONFERENCE)
    pbx.at(20)
    pbx.hangup(FIRST)
    pbx.at(25)
    pbx.new(COLLEAGUE, of=SECOND, number="302")
    one, two = pbx.pair("302@internal", of=SECOND)
    pbx.dial(SECOND, one)
    pbx.dial(two, COLLEAGUE)
    pbx.ring(COLLEAGUE)
    pbx.at(30)
    pbx.up(COLLEAGUE, two)
    pbx.enter(ROOM, COLLEAGUE, **CONFERENCE)
    return pbx


async def test_the_first_callers_timeline_has_nothing_of_the_others_agents(pool: Pool) -> None:
    """Only who may see the second call reads whom it rang, and which number that one saw."""
    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as pipeline:
        await pipeline.submit(met_alone().heard)
    first, second = await inbound(pool)

    async with pool.acquire() as conn:
        of_first = await timeline.facts(conn, first.id, limit=100)
        of_second = await timeline.facts(conn, second.id, limit=100)

    assert {fact.leg for fact in of_first} == {FIRST}
    assert {fact.peer_leg for fact in of_first} == {None}
    assert {fact.leg for fact in of_second} == {SECOND, COLLEAGUE}


async def test_whoever_talks_with_both_callers_shows_in_both_timelines(pool: Pool) -> None:
    """Although the other call has the telephone, too."""
    plan = Plan(random.Random(0), {FIRST: (5, 60), SECOND: (20, 90)}, {AGENT: (30, 80)})
    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as pipeline:
        await pipeline.submit(played(plan).heard)
    calls = await inbound(pool)

    async with pool.acquire() as conn:
        legs = [
            {fact.leg for fact in await timeline.facts(conn, call.id, limit=100)} for call in calls
        ]

    assert legs == [{FIRST, AGENT}, {SECOND, AGENT}]


async def test_a_further_caller_whose_end_was_lost_ends(pool: Pool) -> None:
    """Their events are stored with the first caller's call, which is over."""
    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as pipeline:
        await pipeline.submit(met_alone().heard)
        for table, column in (("call_events", "received_at"), ("call_sessions", "updated_at")):
            await pool.execute(f"UPDATE realtime.{table} SET {column} = now() - interval '1 day'")
        ended = await end_lost_calls(
            pool, pipeline.submit, silence=SETTINGS.lost_after, most_events=1_000
        )

    assert ended == 2
    assert [call.status for call in await inbound(pool)] == ["ended", "ended"]


async def test_what_a_further_caller_and_agent_do_is_found_where_it_is_stored(pool: Pool) -> None:
    """Since when the agent holds the caller, and that the caller waits in a queue."""
    pbx = met_alone()
    pbx.at(40)
    pbx.send("Hold", COLLEAGUE)
    pbx.at(41)
    pbx.send("QueueCallerJoin", SECOND, Queue="sales")
    late = datetime.now(UTC) - timedelta(minutes=5) - pbx.heard[0].occurred_at
    events = [replace(event, occurred_at=event.occurred_at + late) for event in pbx.heard]
    (held_at,) = (event.occurred_at for event in events if event.type == "leg.hold_on")
    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as pipeline:
        await pipeline.submit(events)

    async with pool.acquire() as conn:
        waiting = await connectors.waiting(conn, "pbx")
        live = await connectors.legs_in_open_calls(conn, "pbx", [FIRST, SECOND, COLLEAGUE])
        found = await agents.read(conn, [], ["sales"])

    assert waiting == {(SECOND, "sales")}
    assert live == {SECOND, COLLEAGUE}
    assert [(call.status, call.since) for one in found for call in one.calls] == [("held", held_at)]


async def test_an_outsiders_call_goes_on_when_they_find_the_host_in_the_room(pool: Pool) -> None:
    """Told event by event, it is stored as if all were told at once, and inbound."""
    plan = Plan(random.Random(0), {FIRST: (20, 60)}, {AGENT: (5, 70)})
    pbx = played(plan)
    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as pipeline:
        for event in pbx.heard:
            await pipeline.submit([event])

    stored = [call for call in await stored_calls(pool) if call.merged_into is None]

    assert sorted((known(call) for call in stored), key=str) == sorted(
        (known(call) for call in pbx.calls), key=str
    )
    assert {call.direction for call in stored} == {"inbound", "internal"}
    assert await pool.fetchval("SELECT count(*) FROM realtime.missed_calls") == 0
