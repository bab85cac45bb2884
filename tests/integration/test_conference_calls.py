"""Several callers in one conference, stored: each keeps a call, whatever is cached or lost."""

from __future__ import annotations

import random
from typing import Any

import pytest

from gateway.db import Pool
from ingest import Pipeline
from ingest.model.call_state import CallState
from ingest.model.events import CallEvent
from tests.integration.test_rebuild import rebuilt, snapshot
from tests.support.ingest_tools import SETTINGS, RecordedAnnouncements, stored_calls
from tests.unit.test_conference_calls import Plan, played

FIRST, SECOND, THIRD = (f"PJSIP/trunk-0000000{number}" for number in (0, 1, 2))
AGENT = "PJSIP/301-00000011"


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
