"""Ids of calls: UUIDs that begin with the time, so that new rows lie beside each other.

identity ─▶ uuid7. Random ones put each call into other pages of the seven indexes that contain its
id: docs/decisions/0013-ingest.md.
"""

from __future__ import annotations

import secrets
import time
from uuid import UUID


def uuid7() -> UUID:
    """Make a UUID of version 7: 48 bits of Unix time in milliseconds, 74 random (RFC 9562, 5.7)."""
    milliseconds = time.time_ns() // 1_000_000
    random = secrets.randbits(74)
    return UUID(
        int=milliseconds << 80
        | 0x7 << 76  # version
        | random >> 62 << 64
        | 0b10 << 62  # variant
        | random & ((1 << 62) - 1)
    )
