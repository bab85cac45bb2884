"""recording.* events: their types, and which locations of a recording are accepted.

normalise ─▶ is_location. fold.recordings makes RecordingStates of these events.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

STARTED, STOPPED, READY = "recording.started", "recording.stopped", "recording.ready"
RECORDING_TYPES = frozenset((STARTED, STOPPED, READY))
MAX_LOCATION_CHARS = 2_000
"""Signed links to an object store have 500 to 1,900 characters."""

SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:")
"""One letter and a colon is a drive: `C:/recordings/a.wav` is a path."""


def is_location(text: str) -> bool:
    """Return whether this may be stored: an http(s) URL, or a path without `..` and host."""
    if not 0 < len(text) <= MAX_LOCATION_CHARS or not text.isprintable():
        return False
    if SCHEME.match(text):
        return _is_url(text)
    return not text.startswith(("//", "\\\\")) and ".." not in re.split(r"[/\\]", text)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and has_host and not re.search(r"[\s\\]", text)
