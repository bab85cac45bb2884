"""Recordings of a call over HTTP; the audio itself is stored elsewhere."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from gateway.protocol.frame import frame

RecordingStatus = Literal["recording", "stopped", "ready", "failed"]


@frame
class CallRecording:
    """One recording of one PBX channel."""

    recording_id: UUID
    state: RecordingStatus
    """stopped: it has ended, and its location was not reported yet."""
    employee_id: int | None
    """The employee whose telephone was recorded; null: the caller's side, or not known."""
    started_at: datetime
    stopped_at: datetime | None = None
    duration_ms: int | None = None
    channels: int | None = None
    link: str | None = None
    """The path at which this gateway returns a link, noting each request in the audit; null: there
    is none yet."""


@frame
class RecordingLink:
    """A link to the audio; the server that stores it may ask for its own login."""

    recording: CallRecording
    url: str
