"""All that was told of one call: each event once, in canonical order, and its channels' facts.

known, sessions ─▶ Told ─▶ fold. Events are added as they come. What they say is kept as sets and
minima, so that neither order nor repetition leaves a trace, and a call that goes on is not gathered
from its beginning for every batch.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from ingest.fold.channels import PbxChannel, add_event
from ingest.fold.event_order import order_key
from ingest.model.events import CallEvent


class EventLog:
    """The events of one call. The fold reads it, and nothing but `add` changes it."""

    __slots__ = (
        "_ids",
        "channels",
        "events",
        "queue_events",
        "recording_events",
        "transfer_events",
    )

    def __init__(self, events: Iterable[CallEvent] = ()) -> None:
        self._ids: set[UUID] = set()
        self.events: list[CallEvent] = []
        """In canonical order, like the others; all but those of recordings."""
        self.queue_events: list[CallEvent] = []
        """Those of queues."""
        self.transfer_events: list[CallEvent] = []
        """Those of transfers."""
        self.recording_events: list[CallEvent] = []
        """Those of recordings."""
        self.channels: dict[str, PbxChannel] = {}
        self.add(events)

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, events: Iterable[CallEvent]) -> None:
        """Take in what is new of these."""
        ids = self._ids
        for event in events:
            event_id = event.event_id
            if event_id in ids:
                continue
            ids.add(event_id)
            kind = event.type
            if kind.startswith("recording."):
                _insert(self.recording_events, event)
                continue
            _insert(self.events, event)
            if kind.startswith("queue."):
                _insert(self.queue_events, event)
            elif kind.startswith("transfer."):
                _insert(self.transfer_events, event)
            add_event(self.channels, event)

    @property
    def first_at(self) -> datetime:
        return min(told[0].occurred_at for told in (self.events, self.recording_events) if told)

    @property
    def last_at(self) -> datetime:
        return max(told[-1].occurred_at for told in (self.events, self.recording_events) if told)


def _insert(told: list[CallEvent], event: CallEvent) -> None:
    if not told or told[-1].occurred_at < event.occurred_at:
        told.append(event)
    else:
        insort(told, event, key=order_key)
