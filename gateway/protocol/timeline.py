"""One call with all its events, over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from gateway.protocol.annotations import CallAnnotations
from gateway.protocol.calls import Call
from gateway.protocol.frame import frame
from gateway.protocol.recordings import CallRecording

MAX_FACTS = 500


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
    """Empty without the permission to hear recordings."""
    timeline: list[CallFact]
    """At most 500; empty after retention has deleted the events."""
    more: bool
    """True: the call has more events than these."""
