"""What can go wrong for a client of the gateway."""

from __future__ import annotations


class RequestRefused(Exception):
    """The gateway said no; `code` says why, `retry_after` (seconds) when to try again."""

    def __init__(
        self, code: str, message: str, *, path: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.path = path
        self.retry_after = retry_after


class ConnectionEnded(Exception):
    """The connection is over and does not come back; `code` is its WebSocket close code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class TooFarBehind(Exception):
    """Events came faster than they were read, and more than MAX_EVENTS were waiting."""
