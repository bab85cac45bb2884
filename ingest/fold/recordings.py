"""The recordings of a call and their locations: recording.* events ─▶ RecordingState.

fold ─▶ build_recordings. A function of the set of events, like the rest of the fold: a recording
that is paused and continued, a file reported before or after its beginning, and a link that arrives
a week later give the same result in any order. A recording belongs to its leg, and so to the call.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from ingest.fold.event_order import Moment, moment
from ingest.fold.legs import Leg, leg_of
from ingest.model.call_state import RecordingState, RecordingStatus, ms_between
from ingest.model.events import CallEvent, derive_id
from ingest.model.recording_events import READY, STARTED, STOPPED


def build_recordings(
    events: Iterable[CallEvent], legs: list[Leg], ended_at: datetime | None
) -> tuple[RecordingState, ...]:
    """Return the recordings in the order of their beginning. Events are in canonical order."""
    named: dict[str, list[CallEvent]] = defaultdict(list)
    unnamed: dict[str, list[CallEvent]] = defaultdict(list)
    for event in events:
        if name := event.attrs.get("recording"):
            named[str(name)].append(event)
        elif event.leg_key:
            unnamed[event.leg_key].append(event)
    legs_named = {event.leg_key for some in named.values() for event in some}
    # Asterisk reports which channel is recorded and, in an event of its own, into which file.
    named |= {
        leg_key: some
        for leg_key, some in unnamed.items()
        if leg_key not in legs_named and any(event.type == STARTED for event in some)
    }
    found = [_recording(name, some, unnamed, legs, ended_at) for name, some in named.items()]
    return tuple(sorted(found, key=lambda one: (one.started_at, one.id.bytes)))


def _recording(
    name: str,
    events: list[CallEvent],
    unnamed: dict[str, list[CallEvent]],
    legs: list[Leg],
    ended_at: datetime | None,
) -> RecordingState:
    leg_key = next((event.leg_key for event in events if event.leg_key), None)
    leg = leg_of(leg_key, legs)
    stopped_at = _stopped_at(
        events, unnamed.get(leg_key or "", []), leg.ended_at if leg else ended_at
    )
    duration_ms = _last(events, "duration_ms")
    starts = _moments(events, STARTED)
    started_at = (
        min(starts)[0]
        if starts
        else events[0].occurred_at - timedelta(milliseconds=duration_ms or 0)
    )
    if duration_ms is None and stopped_at:
        duration_ms = ms_between(started_at, stopped_at)
    url = _last(events, "url")
    return RecordingState(
        id=derive_id(events[0].source, f"recording:{name}"),
        recording=name,
        leg_key=leg_key,
        extension=leg.extension if leg else None,
        state=_state(events, url, stopped_at),
        started_at=started_at,
        stopped_at=stopped_at,
        duration_ms=duration_ms,
        channels=_last(events, "channels"),
        url=url,
    )


def _stopped_at(
    events: list[CallEvent], unnamed: list[CallEvent], leg_ended_at: datetime | None
) -> datetime | None:
    """Return when it last stopped: by its own event, by its channel's, or by the leg's end."""
    starts, stops = _moments(events, STARTED), _moments(events, STOPPED)
    if not starts:
        return max(stops)[0] if stops else None
    began = max(starts)
    if own := [stop for stop in stops if stop >= began]:
        return max(own)[0]
    others = [stop for stop in _moments(unnamed, STOPPED) if stop >= began]
    return min(others)[0] if others else leg_ended_at


def _state(
    events: list[CallEvent], url: str | None, stopped_at: datetime | None
) -> RecordingStatus:
    is_ready = any(event.type == READY for event in events)
    if not is_ready and any(event.attrs.get("result") == "failed" for event in events):
        return "failed"
    if url and (is_ready or stopped_at):
        return "ready"
    return "stopped" if stopped_at or is_ready else "recording"


def _moments(events: Iterable[CallEvent], event_type: str) -> set[Moment]:
    return {moment(event) for event in events if event.type == event_type}


def _last(events: list[CallEvent], attr: str) -> Any:
    """Return the last value: a file may be moved, and a length corrected."""
    values = [event.attrs[attr] for event in events if event.attrs.get(attr) is not None]
    return values[-1] if values else None
