"""One event's complete WebSocket frame, built once for every socket (RFC 6455, 5.2).

Server-to-client frames are unmasked, and events carry nothing of the connection, so the same
bytes go to everyone.
"""

from __future__ import annotations

TEXT = 0x81  # FIN, opcode 1


def text_frame(payload: bytes) -> bytes:
    """Return the unfragmented, unmasked text frame with this payload."""
    size = len(payload)
    if size < 126:
        return bytes((TEXT, size)) + payload
    if size < 65_536:
        return bytes((TEXT, 126)) + size.to_bytes(2, "big") + payload
    return bytes((TEXT, 127)) + size.to_bytes(8, "big") + payload


PING = text_frame(b'{"type":"ping"}')
PONG = text_frame(b'{"type":"pong"}')
