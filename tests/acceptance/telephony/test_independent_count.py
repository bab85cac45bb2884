"""All statistics of 200 mixed calls equal a count of what the PBX itself wrote down.

The recording goes through ingest, PostgreSQL and the HTTP API; queue_log, CDR and CEL of the same
run are counted by tests/support/independent_count, which shares no code with the product.
"""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ingest import AsteriskDialect, read_recording
from tests.support.call_truth import SHARED
from tests.support.desk import DIRECTOR, Desk
from tests.support.independent_count import records
from tests.support.independent_count.compare import Slack, differences
from tests.support.independent_count.figures import Count
from tests.support.independent_count.shares import Request

NAME = "m01_mixed_local"
NEEDED = ("jsonl.gz", "queue_log", "cdr.csv", "cel.csv.gz")
MISSING = [name for name in NEEDED if not (SHARED / f"{NAME}.{name}").exists()]

EMPLOYEES = {"101": 1, "102": 2, "103": 3, "104": 4, "105": 4, "201": 6, "202": 7, "203": 8}
"""Employee 4 has two telephones; 204 belongs to nobody."""

HOUR = datetime(2026, 11, 22, 20, tzinfo=UTC)
HALF = HOUR.replace(minute=13, second=30)
"""In the middle of the recording: calls and pauses go on then."""
WHOLE = Request(since=HOUR, until=HOUR.replace(hour=21))
LONGER = replace(
    WHOLE, since=HOUR.replace(hour=19, minute=10), until=HOUR.replace(hour=22), tz="Asia/Kathmandu"
)
STRICT = replace(WHOLE, threshold_s=3, short_s=2)

REQUESTS = {
    "whole": WHOLE,
    "longer": LONGER,
    "first half": replace(WHOLE, until=HALF),
    "second half": replace(WHOLE, since=HALF),
    **{f"sl{n}": replace(STRICT, sl_method=f"sl{n}") for n in range(1, 7)},
    "inbound": replace(STRICT, direction="inbound"),
    "outbound": replace(STRICT, direction="outbound"),
    "internal": replace(STRICT, direction="internal"),
    "sales": replace(WHOLE, queue="sales"),
    "support": replace(STRICT, queue="support"),
    "agent 1": replace(WHOLE, agent_id=1),
    "agent 4": replace(WHOLE, agent_id=4),
    "agent 6 in support": replace(STRICT, agent_id=6, queue="support", direction="inbound"),
}

FAULTS: dict[str, str] = {}
"""Figures that the product has wrong → why. Each stands here until the product is mended."""


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"{SHARED} has no {NAME} with {', '.join(MISSING)}")
async def test_every_figure_equals_the_count_of_the_pbxs_own_records(small_desk: Desk) -> None:
    """Of overview, agents and queues, with each filter, threshold and formula.

    A fault that is known stands in FAULTS with the figures that it makes wrong; one that is seen
    no longer has to be removed there.
    """
    desk = small_desk
    await desk.sql("DELETE FROM demo_crm.desk_phones WHERE extension = '204'")
    await desk.sql("UPDATE demo_crm.desk_phones SET staff_id = 4 WHERE extension = '105'")
    await _replay(desk)
    count = Count(records.read(SHARED, NAME), EMPLOYEES, source="main")
    found: list[str] = []

    for name, request in REQUESTS.items():
        for kind, ours in (
            ("overview", count.overview(request)),
            ("queues", count.queues(request)),
            ("agents", count.agents(request)),
        ):
            theirs = await _ask(desk, kind, request)
            found += differences(f"{name}: {kind}", ours, theirs, Slack(count.records, EMPLOYEES))

    explained = {fault: [one for one in found if re.fullmatch(fault, one)] for fault in FAULTS}
    assert sorted({*found}.difference(*explained.values())) == []
    assert [fault for fault, seen in explained.items() if not seen] == []


async def _replay(desk: Desk) -> None:
    """Submit the recording with its own times, as `gateway replay --keep-times` does."""
    events = await read_recording(
        SHARED / f"{NAME}.jsonl.gz", source="main", dialect=AsteriskDialect(region="UA")
    )
    pipeline = desk.nodes[0].app.state.gateway.pipeline
    for start in range(0, len(events), 1_000):
        await pipeline.submit(events[start : start + 1_000])


async def _ask(desk: Desk, kind: str, request: Request) -> Any:
    """Return what a client gets, queues by name and agents by employee or telephone."""
    params = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(request).items()
        if value is not None
    }
    answer = await desk.http(DIRECTOR).get(f"/v1/telephony/stats/{kind}", params=params)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    del told["asked"]
    if kind == "overview":
        return told
    assert told.pop("incomplete_hours") == []
    (rows,) = told.values()
    if kind == "queues":
        return {row["queue"]: row for row in rows}
    return {(row["employee_id"], row["telephone"]): row for row in rows}
