"""Calls whose end was lost: a PBX that posts reports an end once, and has no snapshot.

pipeline (at the start and every hour) ─▶ end_lost_calls ─▶ submit. A call in progress without an
event for long ends as lost at the time of its last event, by ordinary events. A real end that
arrives later takes precedence. Any number of nodes may run this: the derived events have the same
ids.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from ingest.conn import Pool
from ingest.model.events import CallEvent
from ingest.model.receipt import Receipt
from ingest.model.snapshot import lost_legs
from ingest.queries import lost_calls as queries
from ingest.queries.lost_calls import SilentCall

PAGE_CALLS = 100
"""Calls read at once, whose legs are then ended together."""

Submit = Callable[[list[CallEvent]], Awaitable[Receipt]]


async def end_lost_calls(
    pool: Pool, submit: Submit, *, silence: timedelta, most_events: int
) -> int:
    """End all legs of calls without an event for this long; return the number of legs."""
    ended, after = 0, None
    while True:
        async with pool.acquire() as conn:
            page = await queries.page(conn, silence=silence, after=after, limit=PAGE_CALLS)
        events = [event for call in page for event in _end_events(call)]
        for first in range(0, len(events), most_events):
            ended += (await submit(events[first : first + most_events])).accepted
        if len(page) < PAGE_CALLS:
            return ended
        after = page[-1]


def _end_events(call: SilentCall) -> list[CallEvent]:
    return [] if call.last_at is None else lost_legs(call.legs, call.source, call.last_at)
