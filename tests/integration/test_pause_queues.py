"""In which queues an agent pauses: also in those that were joined long before the period."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from gateway.db import Conn
from gateway.telephony.stats import pauses
from gateway.telephony.stats.queries.stats import StatsFilter
from loadtests.generated_calls import GeneratedRows
from loadtests.queries import callstats

SINCE = datetime(2026, 3, 27, tzinfo=UTC)
PERIOD = StatsFilter(
    since=SINCE, until=SINCE + timedelta(days=5), tz="UTC", direction=None, queue=None,
    agent_id=None, threshold_ms=20_000, short_ms=5_000,
)  # fmt: skip


async def test_a_queue_joined_long_ago_is_known_after_many_pauses(conn: Conn) -> None:
    """Its login is older than the events that are read, and all pauses are told of all queues.

    A queue that is joined after the period is none of its queues.
    """

    def told(kind: str, minute: float, queue: str | None = None, **attrs: Any) -> dict[str, Any]:
        return {
            "source": "main", "event_id": uuid4(), "type": f"agent.{kind}", "call_id": None,
            "occurred_at": SINCE + timedelta(minutes=minute), "time_quality": "pbx",
            "leg_key": None, "queue": queue, "extension": "101", "attrs": attrs,
        }  # fmt: skip

    events = [told("login", -9_000, "sales")]
    for minute in range(-480, 0, 2):
        events += [told("paused", minute, reason="wrapup"), told("unpaused", minute + 1)]
    events += [told("paused", 5, reason="wrapup"), told("unpaused", 6)]
    events += [told("login", 9_000, "support"), told("paused", 9_001, reason="lunch")]
    await callstats.store(conn, GeneratedRows(events=events))

    of_queues = await pauses.read(conn, PERIOD, by_queue=True)
    of_agents = await pauses.read(conn, PERIOD, by_queue=False)

    assert (of_queues.wrap_up_ms("sales"), of_queues.wrap_up_ms("support")) == (60_000, 0)
    assert of_agents.wrap_up_ms(None) == 60_000
