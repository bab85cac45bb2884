"""When each of a client's commands runs.

Session ─▶ CommandQueue ─▶ Session. A client sees its own writes: a command that changes something
is done before commands that were sent after it begin, and such commands are answered in their
order. Those that only read overtake one another, so that a long history delays no ping and no
message. Clients do not wait for each other, but the steps of reads take turns.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple, Protocol

from gateway.batch_loader import Spawn
from gateway.errors import Draining, GatewayError
from gateway.limits import LoopTurns
from gateway.serving import Handler


class QueuedCommand(NamedTuple):
    """A command that was read, and waits or runs."""

    id: int | None
    command: Any
    handler: Handler


class CommandOwner(Protocol):
    """What the queue uses of its session. It is passed in, so that nothing refers in a circle."""

    id: str
    closed: bool

    @property
    def user_id(self) -> int: ...

    async def run(self, entry: QueuedCommand) -> None:
        """Run a command and reply; raises nothing but a cancellation."""

    def refuse(self, request_id: int | None, error: GatewayError) -> None:
        """Reply with an error."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def drained(self) -> None:
        """Close: the node drains, and the commands that had begun are answered."""


class QueueLimits(NamedTuple):
    """What is the same for the queues of all sessions of a node."""

    max_running: int
    max_waiting: int
    """Commands that may wait before the socket is no longer read."""
    spawn: Spawn
    turns: LoopTurns


class CommandQueue:
    """The commands of one session that run, and those that wait."""

    __slots__ = ("_changing", "_limits", "_waiting", "draining", "reading_paused", "running")

    def __init__(self, limits: QueueLimits) -> None:
        self._limits = limits
        self._changing = False
        self._waiting: deque[QueuedCommand] | None = None
        """Most sessions never need one: it takes 0.7 KiB."""
        self.running = 0
        self.draining = False
        self.reading_paused = False

    def submit(self, entry: QueuedCommand, owner: CommandOwner) -> None:
        """Run it now, or when its turn comes."""
        if self._waiting is None and self._may_start:
            self._start(entry, owner)
            return
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(entry)
        if len(self._waiting) > self._limits.max_waiting and not self.reading_paused:
            self.reading_paused = True
            owner.pause_reading()

    def clear(self) -> None:
        """Drop what waits: the client has gone."""
        self._waiting = None

    def drain(self, owner: CommandOwner) -> None:
        """Refuse what waits, and have the session close once the running commands are answered."""
        self.draining = True
        if not self.running and not owner.closed:
            owner.drained()

    @property
    def _may_start(self) -> bool:
        return not self._changing and self.running < self._limits.max_running

    def _start(self, entry: QueuedCommand, owner: CommandOwner) -> None:
        self.running += 1
        self._changing = entry.handler.changes
        self._limits.spawn(self._run(entry, owner), name=f"session.{owner.id}")

    async def _run(self, entry: QueuedCommand, owner: CommandOwner) -> None:
        try:
            if entry.handler.may_wait:
                await self._limits.turns.run(owner.user_id, owner.run(entry))
            elif entry.handler.cost == "passing":
                await owner.run(entry)
            else:
                with self._limits.turns.urgent():
                    await owner.run(entry)
        finally:
            self.running -= 1
            if entry.handler.changes:
                self._changing = False
            self._start_waiting(owner)

    def _start_waiting(self, owner: CommandOwner) -> None:
        """Start what waited for the command that has just ended; refuse it when draining."""
        while self._waiting and (self.draining or self._may_start):
            entry = self._waiting.popleft()
            if self.draining:
                owner.refuse(entry.id, Draining())
            else:
                self._start(entry, owner)
        self._waiting = self._waiting or None
        left = len(self._waiting) if self._waiting else 0
        if self.reading_paused and left * 2 <= self._limits.max_waiting:
            self.reading_paused = False
            owner.resume_reading()
        if self.draining and not self.running and not owner.closed:
            owner.drained()
