"""Requests without a reply, in the order in which they were made.

Connection ─▶ PendingRequests ─▶ ReconnectingSocket. A request waits for a connection, is sent, and
is settled by its reply. When the connection breaks, requests that may be repeated wait for the
next one; the others fail with `connection.lost`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from gateway.client.errors import RequestRefused, refusal
from gateway.protocol import REPEATABLE


@dataclass(slots=True, eq=False)
class PendingRequest:
    """A command and the future of its reply."""

    id: int
    command: Any
    frame: str
    answered: asyncio.Future[Any]
    """Gets what the reply carries under `ok`, or raises."""
    sent: bool = False
    """On the present connection."""


class PendingRequests:
    """All requests that wait for a reply."""

    def __init__(self) -> None:
        self._last_id = 0
        self._pending: dict[int, PendingRequest] = {}

    def add(self, command: Any) -> PendingRequest:
        """Register a request; it is not sent yet."""
        request_id = self.next_id()
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        request = PendingRequest(request_id, command, encode(command, request_id), answered)
        self._pending[request_id] = request
        return request

    def next_id(self) -> int:
        """Return a number for a frame that is not kept here."""
        self._last_id += 1
        return self._last_id

    def unsent(self) -> Iterator[PendingRequest]:
        """Yield the requests that the present connection has not carried, oldest first."""
        return (request for request in self._pending.values() if not request.sent)

    def settle(self, reply: dict[str, Any]) -> None:
        """Hand a reply to its request; a reply that nobody waits for is dropped."""
        request = self._pending.get(reply["id"])
        if request is None or request.answered.done():
            return
        if "error" in reply:
            request.answered.set_exception(refusal(reply["error"]))
        else:
            request.answered.set_result(reply["ok"])

    def discard(self, request: PendingRequest) -> None:
        """Remove a request that was answered, or that nobody waits for any more."""
        self._pending.pop(request.id, None)

    def connection_lost(self) -> None:
        """Keep what may be repeated for the next connection; fail the rest of what was sent."""
        for request in self._pending.values():
            if not request.sent:
                continue
            request.sent = False
            if request.command.type not in REPEATABLE:
                fail(
                    request,
                    RequestRefused(
                        "connection.lost", "The connection was lost before a reply came."
                    ),
                )

    def end(self, error: Exception) -> None:
        """Fail every request: no reply will come any more."""
        for request in self._pending.values():
            fail(request, error)


def encode(command: Any, request_id: int) -> str:
    """Return the frame of a command; fields that are None are left out."""
    fields = {name: value for name, value in asdict(command).items() if value is not None}
    return orjson.dumps({**fields, "id": request_id}).decode()


def fail(request: PendingRequest, error: Exception) -> None:
    if not request.answered.done():
        request.answered.set_exception(error)
