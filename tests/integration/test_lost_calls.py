"""Calls whose end was lost: without further events, they end as lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest

from gateway.db import Pool
from ingest import CallEvent, CallState, Pipeline, fold, parse_events
from ingest.upkeep.lost_calls import end_lost_calls
from tests.support.desk import eventually
from tests.support.ingest_tools import SETTINGS, RecordedAnnouncements, count, stored_calls

NOW = datetime.now(UTC)
BEGAN = NOW - timedelta(hours=13)


def posted(kind: str, leg: str | None, minute: float = 0, **more: Any) -> dict[str, Any]:
    at = (BEGAN + timedelta(minutes=minute)).isoformat()
    return {"type": kind, "occurred_at": at, "call_key": "c", "leg_key": leg, **more}


RINGING = (
    posted("call.started", "a", attrs={"number": "+380671234567", "direction": "inbound"}),
    posted("leg.ringing", "b", 1, extension="101"),
    posted("leg.ringing", "d", 1, extension="102"),
)


def parsed(*items: dict[str, Any]) -> list[CallEvent]:
    found = parse_events(list(items), source="pbx")
    assert found.rejected == []
    return found.events


async def age(pool: Pool, hours: float) -> None:
    """Make what was stored older: when it was received, and when the call's row was written."""
    await pool.execute(
        "UPDATE realtime.call_events SET received_at = now() - make_interval(secs => $1)",
        hours * 3600,
    )
    await pool.execute(
        "UPDATE realtime.call_sessions SET updated_at = now() - make_interval(secs => $1)",
        hours * 3600,
    )


async def ended_by(pipeline: Pipeline, pool: Pool) -> int:
    return await end_lost_calls(
        pool, pipeline.submit, silence=SETTINGS.lost_after, most_events=1_000
    )


async def test_a_call_without_further_events_ends_as_lost(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """At its last event, with a missed call, announced like any other end; only once."""
    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        await pipeline.submit(parsed(*RINGING))
        await age(pool, 13)
        told = len(announced.changes)

        first = await ended_by(pipeline, pool)
        second = await ended_by(pipeline, pool)

    (call,) = await stored_calls(pool)
    assert (first, second) == (3, 0)
    assert (call.status, call.outcome) == ("ended", "missed")
    assert call.ended_at == BEGAN + timedelta(minutes=1)
    assert {leg.ended_reason for leg in call.legs} == {"lost"}
    assert await count(pool, "missed_calls") == 1
    (change,) = announced.changes[told:]
    assert change.ended
    assert change.after.id == call.id


async def test_a_call_with_new_events_goes_on(pool: Pool, announced: RecordedAnnouncements) -> None:
    """However long ago it began; and so does one whose events were sent late, just now."""
    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        await pipeline.submit(parsed(*RINGING))
        fresh = await ended_by(pipeline, pool)
        await age(pool, 13)
        await pipeline.submit(parsed(posted("leg.answered", "b", 12.5 * 60)))
        recent = await ended_by(pipeline, pool)

    assert (fresh, recent) == (0, 0)
    assert [call.status for call in await stored_calls(pool)] == ["talking"]


async def test_a_late_end_revises_a_lost_one(pool: Pool, announced: RecordedAnnouncements) -> None:
    """The PBX's own events take precedence, however late: answered, and ended at their times."""
    late = (
        posted("leg.answered", "b", 2),
        posted("leg.ended", "b", 600, attrs={"cause": 16}),
        posted("leg.ended", "d", 2, attrs={"cause": 26}),
        posted("leg.ended", "a", 600, attrs={"cause": 16}),
    )
    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        await pipeline.submit(parsed(*RINGING))
        await age(pool, 13)
        await ended_by(pipeline, pool)
        await pipeline.submit(parsed(*late))

    (call,) = await stored_calls(pool)
    assert (call.outcome, call.ended_at) == ("answered", BEGAN + timedelta(minutes=600))
    assert [leg.ended_reason for leg in call.legs[1:]] == ["completed", "answered_elsewhere"]
    assert await count(pool, "missed_calls") == 0


async def test_a_late_end_of_the_call_revises_it_too(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """For a PBX that reports only calls, the end of the call ends all legs."""
    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        await pipeline.submit(parsed(*RINGING))
        await age(pool, 13)
        await ended_by(pipeline, pool)
        await pipeline.submit(parsed(posted("call.ended", None, 3)))

    (call,) = await stored_calls(pool)
    assert (call.outcome, call.ended_at) == ("abandoned", BEGAN + timedelta(minutes=3))
    assert "lost" not in {leg.ended_reason for leg in call.legs}


async def test_the_order_in_which_a_lost_and_a_real_end_come_does_not_matter(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """The call is a function of the set of its events, as ever."""
    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        await pipeline.submit(parsed(*RINGING[:2]))
        await age(pool, 13)
        await ended_by(pipeline, pool)
    lost = await pool.fetchrow(
        "SELECT event_id, occurred_at FROM realtime.call_events WHERE leg_key = 'b'"
        " AND time_quality = 'derived'"
    )
    assert lost is not None
    ended = CallEvent(
        event_id=lost["event_id"], source="pbx", type="leg.ended", leg_key="b",
        occurred_at=lost["occurred_at"], time_quality="derived", attrs={"result": "lost"},
    )  # fmt: skip
    events = [*parsed(RINGING[1], posted("leg.ended", "b", 5, attrs={"cause": 17})), ended]

    def folded(order: tuple[CallEvent, ...]) -> CallState | None:
        return fold(order, call_id=UUID(int=1))

    (state,) = {folded(order) for order in permutations(events)}

    assert state is not None
    assert [leg.ended_reason for leg in state.legs] == ["busy"]


async def test_many_lost_calls_end_page_by_page(
    pool: Pool, announced: RecordedAnnouncements, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, and one that cannot be ended holds up no other."""
    monkeypatch.setattr("ingest.upkeep.lost_calls.PAGE_CALLS", 3)
    calls = [
        {**posted("leg.ringing", f"l{n}", n / 10, extension="101"), "call_key": f"c{n}"}
        for n in range(10)
    ]
    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        await pipeline.submit(parsed(*calls))
        await age(pool, 13)
        await pool.execute(
            "DELETE FROM realtime.call_events WHERE leg_key = 'l4'"  # retention took them
        )

        ended = await ended_by(pipeline, pool)

    assert ended == 9
    assert [call.status for call in await stored_calls(pool)].count("ended") == 9


async def test_housekeeping_ends_them(pool: Pool, announced: RecordedAnnouncements) -> None:
    """A pipeline does it when it starts, and every hour."""
    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        await pipeline.submit(parsed(*RINGING))
    await age(pool, 13)

    async with Pipeline(pool, announce=announced, settings=SETTINGS):
        await eventually(lambda: any(change.ended for change in announced.changes))

    assert [call.status for call in await stored_calls(pool)] == ["ended"]
