"""Recordings of a call, as they are read over HTTP; the sound itself is elsewhere."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from gateway.protocol.frame import frame

RecordingStatus = Literal["recording", "stopped", "ready", "failed"]


@frame
class CallRecording:
    """One recording of one channel."""

    recording_id: UUID
    state: RecordingStatus
    """stopped: it is over, and nobody has said where it is."""
    employee_id: int | None
    """Whose telephone was recorded; null: the caller's side, or not known."""
    started_at: datetime
    stopped_at: datetime | None = None
    duration_ms: int | None = None
    channels: int | None = None
    link: str | None = None
    """Where this gateway gives the link to it, each time noted in the audit; null: there is
    none (yet)."""


@frame
class RecordingLink:
    """Where a recording can be heard; whoever keeps it may ask who you are once more."""

    recording: CallRecording
    url: str
