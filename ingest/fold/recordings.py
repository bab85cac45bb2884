"""What was recorded of a call, and where that is: recording.* events ─▶ RecordingState.

fold ─▶ build. A function of the set of events, like the rest of the fold: a recording that is
paused and goes on, a file that is told of before or after its beginning, and a link that comes a
week later all give the same in any order. A recording stays with its leg, and so with the call.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from ingest.fold.legs import Leg, leg_of
from ingest.model.call_state import RecordingState, RecordingStatus, ms_between
from ingest.model.events import CallEvent, derive_id
from ingest.model.recording_events import READY, STARTED, STOPPED


def build_recordings(
    events: Iterable[CallEvent], legs: list[Leg], ended_at: datetime | None
) -> tuple[RecordingState, ...]:
    """Return the recordings in the order of their beginning; events are in canonical order."""
    named: dict[str, list[CallEvent]] = defaultdict(list)
    nameless: dict[str, list[CallEvent]] = defaultdict(list)
    for event in events:
        if name := event.attrs.get("recording"):
            named[str(name)].append(event)
        elif event.leg_key:
            nameless[event.leg_key].append(event)
    legs_named = {event.leg_key for told in named.values() for event in told}
    # Asterisk says which channel is recorded, and by itself which file that is.
    named |= {
        leg_key: told
        for leg_key, told in nameless.items()
        if leg_key not in legs_named and any(event.type == STARTED for event in told)
    }
    found = [_recording(name, told, nameless, legs, ended_at) for name, told in named.items()]
    return tuple(sorted(found, key=lambda one: (one.started_at, one.id.bytes)))


def _recording(
    name: str,
    told: list[CallEvent],
    nameless: dict[str, list[CallEvent]],
    legs: list[Leg],
    ended_at: datetime | None,
) -> RecordingState:
    leg_key = next((event.leg_key for event in told if event.leg_key), None)
    leg = leg_of(leg_key, legs)
    stopped_at = _stopped_at(
        told, nameless.get(leg_key or "", []), leg.ended_at if leg else ended_at
    )
    duration_ms = _last(told, "duration_ms")
    started_at = min(_times(told, STARTED), default=None) or (
        told[0].occurred_at - timedelta(milliseconds=duration_ms or 0)
    )
    if duration_ms is None and stopped_at:
        duration_ms = ms_between(started_at, stopped_at)
    url = _last(told, "url")
    return RecordingState(
        id=derive_id(told[0].source, f"recording:{name}"),
        recording=name,
        leg_key=leg_key,
        extension=leg.extension if leg else None,
        state=_state(told, url, stopped_at),
        started_at=started_at,
        stopped_at=stopped_at,
        duration_ms=duration_ms,
        channels=_last(told, "channels"),
        url=url,
    )


def _stopped_at(
    told: list[CallEvent], nameless: list[CallEvent], leg_ended_at: datetime | None
) -> datetime | None:
    """When it last stopped: as told of it, or of its channel, or with the end of that."""
    starts, stops = _times(told, STARTED), _times(told, STOPPED)
    if not starts:
        return max(stops, default=None)
    began = max(starts)
    if own := [at for at in stops if at >= began]:
        return max(own)
    others = [at for at in _times(nameless, STOPPED) if at >= began]
    return min(others, default=leg_ended_at)


def _state(told: list[CallEvent], url: str | None, stopped_at: datetime | None) -> RecordingStatus:
    is_ready = any(event.type == READY for event in told)
    if not is_ready and any(event.attrs.get("result") == "failed" for event in told):
        return "failed"
    if url and (is_ready or stopped_at):
        return "ready"
    return "stopped" if stopped_at or is_ready else "recording"


def _times(events: Iterable[CallEvent], event_type: str) -> set[datetime]:
    return {event.occurred_at for event in events if event.type == event_type}


def _last(told: list[CallEvent], attr: str) -> Any:
    """Return what was said last: a file may be moved, and a length be corrected."""
    said = [event.attrs[attr] for event in told if event.attrs.get(attr) is not None]
    return said[-1] if said else None
