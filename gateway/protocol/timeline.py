"""One call with everything that was told of it, as it is read over HTTP."""

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
    """Something that happened in a call; docs/telephony.md says what each type means."""

    event_id: UUID
    at: datetime
    type: str
    leg: str | None
    """The telephone's part in the call, as the PBX names it."""
    peer_leg: str | None
    queue: str | None
    extension: str | None
    attrs: dict[str, Any]


@frame
class CallTimeline:
    """A call with what people added to it, and its facts in the order in which they happened."""

    call: Call
    annotations: CallAnnotations
    recordings: list[CallRecording]
    """Only to those who may hear them; to others, none."""
    timeline: list[CallFact]
    """At most 500; after retention has taken the events away, none."""
    more: bool
    """There are more than these."""
