"""WebSocket close codes, and what a client does after each.

The range decides, so that a client can also handle a code that it does not know:
4000-4199 do not reconnect; 4200-4399 refresh the token, then reconnect; 4400-4599 reconnect
with back-off; 4600-4799 reconnect at once. Codes below 4000 are those of RFC 6455.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["stop", "refresh", "back_off", "now"]


@dataclass(frozen=True, slots=True)
class CloseCode:
    """One reason for ending a connection."""

    code: int
    reason: str
    meaning: str

    @property
    def verdict(self) -> Verdict:
        return verdict(self.code)


def verdict(code: int) -> Verdict:
    """Return what a client does after a close with this code."""
    if 4000 <= code <= 4199:
        return "stop"
    if 4200 <= code <= 4399:
        return "refresh"
    if 4600 <= code <= 4799:
        return "now"
    return "back_off"


PROTOCOL_ERROR = CloseCode(1002, "protocol error", "The frames break RFC 6455.")
BINARY_REFUSED = CloseCode(1003, "text frames only", "A binary frame was sent; JSON is text.")
BAD_UTF8 = CloseCode(1007, "invalid UTF-8", "A text frame is not UTF-8.")
TOO_BIG = CloseCode(1009, "message too big", "A frame or message is larger than the limit.")
INTERNAL = CloseCode(1011, "internal error", "An unexpected error in the gateway; it was logged.")

TOKEN_REFUSED = CloseCode(4001, "token refused", "The token is missing, forged or revoked.")
PROTOCOL_ABUSE = CloseCode(4004, "too many errors", "Too much malformed input.")
EMPLOYEE_DISABLED = CloseCode(4010, "employee disabled", "The employee is no longer active.")
REPLACED = CloseCode(
    4011, "replaced", "A newer connection of this device, or of this kind of device, took over."
)
DISCONNECTED = CloseCode(
    4012, "disconnected", "The employee, or a program of the CRM, ended this connection."
)

TOKEN_EXPIRED = CloseCode(4201, "token expired", "Get a new token, then reconnect.")

SLOW_CLIENT = CloseCode(4401, "slow client", "The client read too slowly; reconnect and resume.")
TOO_FAST = CloseCode(4402, "too fast", "The client kept sending above its limit.")
HELLO_TIMEOUT = CloseCode(4403, "no hello", "No hello came within 10 s.")
OVERLOADED = CloseCode(4404, "overloaded", "This node accepts no more clients now.")
NO_PONG = CloseCode(4405, "no sign of life", "Nothing came for 10 s after a ping.")
TOO_MANY_CONNECTIONS = CloseCode(
    4406, "too many connections", "The employee has too many open connections."
)

DRAIN = CloseCode(4601, "drain", "This node is shutting down; reconnect to another one.")
RECONNECT = CloseCode(4602, "reconnect", "This client was asked to connect again.")

CATALOGUE = (
    PROTOCOL_ERROR, BINARY_REFUSED, BAD_UTF8, TOO_BIG, INTERNAL,
    TOKEN_REFUSED, PROTOCOL_ABUSE, EMPLOYEE_DISABLED, REPLACED, DISCONNECTED,
    TOKEN_EXPIRED,
    SLOW_CLIENT, TOO_FAST, HELLO_TIMEOUT, OVERLOADED, NO_PONG,
    TOO_MANY_CONNECTIONS,
    DRAIN, RECONNECT,
)  # fmt: skip
