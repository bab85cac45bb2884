"""The calls of other callers in a conference, whose events are stored with the first one's.

call_cache, sessions ─▶ FurtherCalls. They are read once for a conference and then kept with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from ingest.conn import Conn
from ingest.fold.callers import is_conference
from ingest.fold.event_log import EventLog
from ingest.queries import sessions as queries
from ingest.queries.sessions import StoredCall


@dataclass(slots=True)
class FurtherCalls:
    by_leg: dict[str, StoredCall] = field(default_factory=dict)
    """First channel of a caller → their call."""
    joining: list[StoredCall] = field(default_factory=list)
    """Calls that have become one with the first one in this batch."""

    def taken_over(self, leg_key: str) -> StoredCall | None:
        """Return the call that this caller had before they entered the conference."""
        for call in self.joining:
            if any(leg.leg_key == leg_key for leg in call.state.legs):
                self.joining.remove(call)
                return call
        return None


async def load_further(
    conn: Conn,
    logs: Mapping[UUID, EventLog],
    known: Mapping[UUID, FurtherCalls],
    losers: Mapping[UUID, StoredCall],
    merged: Mapping[UUID, UUID],
) -> dict[UUID, FurtherCalls]:
    """Return the further calls of each conference; most batches have none, and read nothing."""
    found = dict(known)
    unread = [one for one, log in logs.items() if one not in found and is_conference(log)]
    if not unread:
        return found
    into = {loser: winner for loser, winner in merged.items() if winner in unread}
    stored = await queries.load_further(conn, [*unread, *into])
    for call_id in unread:
        found[call_id] = FurtherCalls(stored.get(call_id, {}))
    for loser, winner in into.items():
        found[winner].by_leg |= stored.get(loser, {})
        if loser in losers:
            found[winner].joining.append(losers[loser])
    return found


def ended_as_part(call: StoredCall, winner: UUID) -> StoredCall:
    """Return a call that turned out to be a part of another: it keeps no legs."""
    state = replace(
        call.state,
        version=call.state.version + 1,
        status="ended",
        outcome=call.state.outcome or "unknown",
        ended_at=call.state.ended_at or call.last_event_at,
        merged_into=winner,
        events_in=None,
        events_leg=None,
        legs=(),
        stints=(),
        transfers=(),
        parkings=(),
        recordings=(),
    )
    return replace(call, state=state)
