"""Each statistic of calls is what plain Python makes of all rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.db import Conn
from gateway.telephony.queries.stats import Asked
from loadtests.call_oracle import Oracle
from loadtests.made_calls import Maker
from loadtests.queries import callstats
from loadtests.scenarios.callstats import KINDS, counted

SPRING = datetime(2026, 3, 27, 22, 10, 30, tzinfo=UTC)
"""Kyiv's clocks go forward on the 29th."""
AUTUMN = datetime(2025, 10, 23, 21, 0, tzinfo=UTC)


def asked(since: datetime, **changes: Any) -> Asked:
    """Return what is asked for about five days."""
    plain = Asked(
        since=since, until=since + timedelta(days=5), tz="Europe/Kyiv", direction=None, queue=None,
        agent_id=None, threshold_ms=20_000, short_ms=5_000,
    )  # fmt: skip
    return replace(plain, **changes)


async def fill(conn: Conn, since: datetime, seed: int, calls: int = 500) -> None:
    """Make calls of seven days, from a day before."""
    maker = Maker(seed, since - timedelta(days=1), 7, numbers=calls // 5)
    for made in maker.batches(calls):
        await callstats.store(conn, made)
    await callstats.store(conn, maker.pauses(calls // 3))


FILTERS: list[dict[str, Any]] = [
    {},
    {"direction": "inbound"},
    {"direction": "outbound"},
    {"queue": "sales"},
    {"agent_id": 2},
    {"queue": "support", "agent_id": 1, "direction": "inbound"},
    {"queue": "no such queue"},
    {"threshold_ms": 5_000, "short_ms": 0, "tz": "Asia/Kathmandu"},
    {"tz": "America/St_Johns"},
]


@pytest.mark.parametrize(("since", "seed"), [(SPRING, 1), (AUTUMN, 2)])
async def test_sql_says_what_plain_python_says(conn: Conn, since: datetime, seed: int) -> None:
    """Every figure of all three, in weeks of changing clocks, with every kind of filter."""
    await fill(conn, since, seed)

    for changes in FILTERS:
        what = asked(since, **changes)
        oracle = Oracle(await callstats.load(conn, what.since, what.until), what)
        for kind in KINDS:
            assert await counted(conn, kind, what) == getattr(oracle, kind)(), (kind, changes)
