"""Which of a client's commands runs when.

Session ─▶ Line ─▶ Session. A client sees its own writes: a command that changes something is done
before what was sent behind it begins, and such commands are answered in their order. Those that
only read overtake one another, so that a long history holds up no ping and no message. Clients
do not wait for each other.
"""

from __future__ import annotations

import secrets
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.errors import Draining, GatewayError
from gateway.protocol import close_codes
from gateway.sockets.outgoing.sender import Sender
from gateway.sockets.session.deadlines import Connection, Deadlines

if TYPE_CHECKING:
    from gateway.sockets.node import Node


class Job(NamedTuple):
    """A command that was read, and waits or runs."""

    id: int | None
    type: str
    command: Any
    changes: bool


class Line(Deadlines):
    """The half of a session that keeps order among its commands."""

    __slots__ = ("_changing", "_pending", "draining", "id")

    def __init__(self, node: Node, connection: Connection, sender: Sender) -> None:
        super().__init__(node, connection, sender)
        self.id = secrets.token_hex(8)
        self.draining = False
        self._changing = False
        self._pending: deque[Job] | None = None  # most never need one: it would take 0.7 KiB

    async def _run(self, job: Job) -> None:
        """Run a command and reply; raises nothing but a cancellation."""
        raise NotImplementedError

    def _refuse(self, request_id: int | None, error: GatewayError) -> None:
        raise NotImplementedError

    def line_up(self, job: Job) -> None:
        """Run it now, or when its turn comes."""
        if self._pending is None and self._may_start:
            self._start(job)
            return
        if self._pending is None:
            self._pending = deque()
        self._pending.append(job)
        if len(self._pending) > self._node.settings.max_pending and not self._reading_paused:
            self._reading_paused = True
            self._connection.pause_reading()

    def leave_line(self) -> None:
        """Forget what waits: the client has gone."""
        self._pending = None

    def drain(self) -> None:
        """Say goodbye once the commands that have begun are answered."""
        self.draining = True
        if not self._working and not self.closed:
            self._connection.close(close_codes.DRAIN)

    @property
    def _may_start(self) -> bool:
        return not self._changing and self._working < self._node.settings.max_in_flight

    def _start(self, job: Job) -> None:
        self._working += 1
        self._changing = job.changes
        self._node.spawn(self._work(job), name=f"session.{self.id}")

    async def _work(self, job: Job) -> None:
        try:
            await self._run(job)
        finally:
            self._working -= 1
            if job.changes:
                self._changing = False
            self._go_on()

    def _go_on(self) -> None:
        """Begin what waited for the command that has just ended; refuse it when draining."""
        while self._pending and (self.draining or self._may_start):
            job = self._pending.popleft()
            if self.draining:
                self._refuse(job.id, Draining())
            else:
                self._start(job)
        self._pending = self._pending or None
        left = len(self._pending) if self._pending else 0
        if self._reading_paused and left * 2 <= self._node.settings.max_pending:
            self._reading_paused = False
            self._connection.resume_reading()
        if self.draining and not self._working and not self.closed:
            self._connection.close(close_codes.DRAIN)
