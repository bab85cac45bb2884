"""Rows of another installation's queue_log, and the stints as which they were counted."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from ingest.fold.fold import fold, group_by_call
from ingest.model.events import CallEvent, EventType, derive_id

PATH = Path(__file__).parents[3] / "shared" / "data" / "queue-log" / "queue_stats_cases.txt"

pytestmark = pytest.mark.skipif(not PATH.exists(), reason="queue-log is not beside this repository")

TYPES: dict[str, tuple[EventType, ...]] = {
    "ENTERQUEUE": ("queue.entered",),
    "CONNECT": ("queue.left", "queue.connected"),
    "COMPLETECALLER": ("leg.ended",),
    "COMPLETEAGENT": ("leg.ended",),
    "ABANDON": ("queue.left", "queue.abandoned", "leg.ended"),
}
"""What the manager says of the same: a queue that is closed says nothing at all."""

EXPECTED = {
    "Q1": {("q01", 9): {"connected": 1}, ("q02", 10): {"connected": 1}},
    "Q2": {
        ("q01", 8): {"abandoned": 3},
        ("q01", 9): {"abandoned": 2},
        ("q02", 8): {"abandoned": 1},
    },
    "Q4": {("q01", 11): {"connected": 4, "abandoned": 4}},
}
"""Q3 has connections an hour before their entry: times that no call can have."""


def events_of(section: str) -> list[CallEvent]:
    """Translate one section; a call that continues in another queue has not ended."""
    text = PATH.read_text(encoding="utf-8").partition(f"## {section} ")[2].partition("\n=>")[0]
    rows = [line.split("|") for line in text.splitlines()[1:] if "|" in line]
    last = {row[1]: index for index, row in enumerate(rows)}
    return [
        CallEvent(
            event_id=derive_id("pbx", f"{index}|{event_type}"),
            source="pbx",
            type=event_type,
            occurred_at=datetime.fromisoformat(row[0]).replace(tzinfo=UTC),
            leg_key=row[1],
            queue=row[2],
        )
        for index, row in enumerate(rows)
        for event_type in TYPES.get(row[4], ())
        if event_type != "leg.ended" or last[row[1]] == index
    ]


@pytest.mark.parametrize("section", EXPECTED)
def test_stints_are_counted_in_the_hour_and_queue_that_was_entered(section: str) -> None:
    """One call in two queues is two stints; each belongs to the hour in which it began."""
    found: dict[tuple[str, int], Counter[str]] = {}
    for events in group_by_call(events_of(section)):
        call = fold(events, call_id=UUID(int=1))
        assert call is not None
        for stint in call.stints:
            counted = found.setdefault((stint.queue, stint.entered_at.hour), Counter())
            counted[str(stint.outcome)] += 1

    assert found == EXPECTED[section]
