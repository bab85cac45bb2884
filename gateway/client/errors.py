"""The errors of the Python SDK."""

from __future__ import annotations

from typing import Any

from gateway.protocol.close_codes import (
    EMPLOYEE_DISABLED,
    INTERNAL,
    OVERLOADED,
    TOKEN_EXPIRED,
    TOKEN_REFUSED,
)


class RequestRefused(Exception):
    """The gateway refused; `code` says why, `retry_after` (seconds) when to try again."""

    def __init__(
        self, code: str, message: str, *, path: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.path = path
        self.retry_after = retry_after


class ConnectionEnded(Exception):
    """The connection has ended for good; `code` is its WebSocket close code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class TooFarBehind(Exception):
    """Events came faster than the application read them: more than MAX_EVENTS waited."""


REFUSED_AS = {
    "token.expired": TOKEN_EXPIRED,
    "employee.disabled": EMPLOYEE_DISABLED,
    "internal": INTERNAL,
}
"""Refusal of a hello → close code of a live session for the same reason; others: for good."""


def refusal(error: dict[str, Any]) -> RequestRefused:
    """Return the exception for the `error` of a reply."""
    return RequestRefused(
        error["code"],
        error["message"],
        path=error.get("path"),
        retry_after=error.get("retry_after"),
    )


def close_code(refused: RequestRefused) -> int:
    """Return the close code for the same reason as a refused hello."""
    if refused.retry_after is not None:
        return OVERLOADED.code
    return REFUSED_AS.get(refused.code, TOKEN_REFUSED).code
