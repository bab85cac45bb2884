"""Relayed events and old keys are forgotten, a portion at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.context import Services
from gateway.db import Pool
from gateway.events import upkeep
from gateway.jobs import Again
from tests.support.event_tools import log_of, publish, relay_all
from tests.support.job_tools import Jobs

KEY_AGES = {"old": 8, "new": 6}
"""Key → how many days ago it was published."""


@pytest.fixture
def services(pool: Pool) -> Services:
    return Services(pool, list, None, None)  # type: ignore[arg-type]


async def forget(services: Services) -> Again | None:
    return await upkeep.forget(services, None)  # type: ignore[arg-type]


async def keys(jobs: Jobs) -> set[str]:
    return {row["event_key"] for row in await jobs.sql("SELECT event_key FROM realtime.event_keys")}


async def test_keys_are_kept_for_seven_days_after_their_events_were_due(
    jobs: Jobs, conn: Any, services: Services
) -> None:
    """A reminder of next month can be cancelled until then, and for its key to be free."""
    later = datetime.now(UTC) + timedelta(days=30)
    for key, days in KEY_AGES.items():
        await publish(conn, key=key)
        await publish(conn, key=f"{key} for later", deliver_at=later)
        await jobs.sql(
            "UPDATE realtime.event_keys SET created_at = now() - make_interval(days => $1)"
            " WHERE event_key LIKE $2 || '%'",
            days,
            key,
        )

    assert await forget(services) is None
    assert await keys(jobs) == {"new", "new for later", "old for later"}
    await jobs.sql("UPDATE realtime.event_keys SET deliver_at = now() - interval '8 days'")
    assert await forget(services) is None
    assert await keys(jobs) == {"new", "new for later"}
    assert await publish(conn, key="old", payload={"other": "content"})


async def test_relayed_events_are_kept_for_an_hour(
    jobs: Jobs, conn: Any, services: Services
) -> None:
    """Positions go on as before, also when none is left."""
    for _ in range(3):
        await publish(conn)
    await relay_all(jobs)
    await jobs.sql(
        "UPDATE realtime.events SET relayed_at = now() - interval '61 minutes' WHERE position < 3"
    )

    await forget(services)
    assert [row["position"] for row in await log_of(jobs)] == [3]
    await jobs.sql("UPDATE realtime.events SET relayed_at = now() - interval '61 minutes'")
    await forget(services)
    await publish(conn)
    assert [one.position for one in await relay_all(jobs)] == [4]


async def test_much_is_forgotten_in_portions(
    jobs: Jobs, conn: Any, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some of them other jobs have their turn, and it goes on."""
    monkeypatch.setattr(upkeep, "PORTION", 2)
    monkeypatch.setattr(upkeep, "PORTIONS", 2)
    for number in range(9):
        await publish(conn, key=str(number))
    await relay_all(jobs)
    await jobs.sql("UPDATE realtime.events SET relayed_at = now() - interval '2 hours'")
    await jobs.sql("UPDATE realtime.event_keys SET created_at = now() - interval '9 days'")

    left = []
    while await forget(services) is not None:
        left.append((len(await log_of(jobs)), len(await keys(jobs))))

    assert left == [(5, 5), (1, 1)]
    assert (await log_of(jobs), await keys(jobs)) == ([], set())
