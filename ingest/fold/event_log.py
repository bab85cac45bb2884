"""EventLog: the events of one call, each once, in canonical order, and the facts of its channels.

call_cache, sessions ─▶ EventLog ─▶ fold. Events are added as they arrive. Their facts are kept as
sets and minima, so neither order nor repetition has an effect, and a call in progress need not be
collected from its beginning for every batch.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from datetime import datetime

from ingest.fold.channels import PbxChannel, add_event
from ingest.fold.event_order import order_key
from ingest.model.events import CallEvent


class EventLog:
    """The events of one call. The fold only reads it; `add` is the only way to change it."""

    __slots__ = (
        "_ids",
        "channels",
        "closed_at",
        "events",
        "queue_events",
        "recording_events",
        "transfer_events",
    )

    def __init__(self, events: Iterable[CallEvent] = ()) -> None:
        self._ids: set[int] = set()
        self.events: list[CallEvent] = []
        """All but recording.* events, in canonical order, like the other lists."""
        self.queue_events: list[CallEvent] = []
        self.transfer_events: list[CallEvent] = []
        self.recording_events: list[CallEvent] = []
        self.channels: dict[str, PbxChannel] = {}
        self.closed_at: datetime | None = None
        """When the PBX told that the call is over, which ends the legs still open."""
        self.add(events)

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, events: Iterable[CallEvent]) -> None:
        """Add those that are not there yet."""
        ids = self._ids
        for event in events:
            event_id = event.event_id.int  # two look-ups: 0.06 µs instead of 0.19
            if event_id in ids:
                continue
            ids.add(event_id)
            subject = event.type[:6]
            if subject == "record":
                _insert(self.recording_events, event)
                continue
            _insert(self.events, event)
            if subject == "queue.":
                _insert(self.queue_events, event)
            elif subject == "transf":
                _insert(self.transfer_events, event)
            elif event.type == "call.ended":
                self._close(event.occurred_at)
            add_event(self.channels, event)

    @property
    def first_at(self) -> datetime:
        if not self.recording_events:
            return self.events[0].occurred_at
        return min(some[0].occurred_at for some in (self.events, self.recording_events) if some)

    @property
    def last_at(self) -> datetime:
        if not self.recording_events:
            return self.events[-1].occurred_at
        return max(some[-1].occurred_at for some in (self.events, self.recording_events) if some)

    def _close(self, at: datetime) -> None:
        """Keep the first time; a second call.ended changes nothing."""
        if self.closed_at is None or at < self.closed_at:
            self.closed_at = at


def _insert(events: list[CallEvent], event: CallEvent) -> None:
    if not events or events[-1].occurred_at < event.occurred_at:
        events.append(event)
    else:
        insort(events, event, key=order_key)
