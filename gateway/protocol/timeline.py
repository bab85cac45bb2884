"""One call with all its events, over HTTP."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from gateway.protocol.annotations import CallAnnotations
from gateway.protocol.calls import Call, CallLeg, CallParking, CallTransfer, QueueStint
from gateway.protocol.frame import frame
from gateway.protocol.recordings import CallRecording

MAX_FACTS = 500
MAX_RECORDINGS = 100


@frame
class CallFact:
    """One event of a call; docs/telephony.md explains the types."""

    event_id: UUID
    at: datetime
    type: str
    leg: str | None
    """The leg, as the PBX names it."""
    peer_leg: str | None
    queue: str | None
    extension: str | None
    attrs: dict[str, Any]


@frame
class CallTimeline:
    """A call with its annotations, recordings and events, oldest event first."""

    call: Call
    annotations: CallAnnotations
    recordings: list[CallRecording]
    """The first 100; empty without the permission to hear recordings."""
    timeline: list[CallFact]
    """At most 500; empty after retention has deleted the events."""
    more: bool
    """True: the call has more events than these."""
    recordings_left_out: int = 0
    """How many recordings are not shown."""


CallPart = Literal["legs", "stints", "transfers", "parkings", "recordings"]


@frame
class CallPartPage:
    """Parts of one kind of a call, oldest first; the other lists are empty."""

    legs: list[CallLeg] = field(default_factory=list)
    stints: list[QueueStint] = field(default_factory=list)
    transfers: list[CallTransfer] = field(default_factory=list)
    parkings: list[CallParking] = field(default_factory=list)
    recordings: list[CallRecording] = field(default_factory=list)
    next: str | None = None
    """Cursor of the next page; null at the end."""
