"""Errors by stable codes: the gateway's own, and those of connections and of what came late.

connected, phones, office ─▶ Coded ─▶ Locust, which counts errors with the same text as one.
"""

from __future__ import annotations

LOST, REPLY_LATE = "connection.lost", "reply.late"


class CommandRefused(Exception):
    """The gateway answered with an error; as text it is the code, by which Locust counts."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


class SocketLost(Exception):
    """The connection ended, or an answer did not come; as text it is a code of loadtests/README."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class EventLate(Exception):
    """An event did not come in time."""

    code = "event.late"

    def __str__(self) -> str:
        return self.code


def code_of(error: Exception) -> str:
    """Return a stable code, under which Locust counts equal errors as one."""
    if status := getattr(error, "status_code", 0):  # websocket-client's refused upgrade
        return f"http.{status}"
    code: str = getattr(error, "code", "")
    if not code or not isinstance(code, str):
        return "connection.timeout" if isinstance(error, TimeoutError) else LOST
    return code


class Coded(Exception):
    """An error of a library, shown as its code."""

    def __init__(self, error: Exception) -> None:
        super().__init__(code_of(error))

    def __repr__(self) -> str:
        return str(self)  # what Locust's table shows
