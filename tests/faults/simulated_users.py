"""The users of one run: each reads everything, writes now and then, and watches some others.

laboratory ─▶ SimulatedUser ─▶ wire. They behave as the client library does: they reconnect by
themselves and repeat, with the same key, every message without an answer.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from gateway.client import Connection, ConnectionEnded, RequestRefused
from gateway.protocol import (
    ConversationAdd,
    ConversationRemove,
    MessageCreated,
    Presence,
    PresenceChanged,
    PresenceWatch,
)
from loadtests.messenger.view import ClientView
from tests.faults.history import History, Notice, Sent
from tests.faults.wire import RecordingSocket

PASSING = frozenset({"database.unavailable", "overloaded", "connection.lost", "draining"})
"""Refusals that say: later."""
AGAIN_S = 0.2
GIVE_UP_S = 90.0
READ = 0.2
"""How often somebody reads what has come."""


class SimulatedUser:
    """One employee with one device."""

    def __init__(
        self, employee_id: int, ways: Mapping[str, int], token: str, *, history: History, seed: int
    ) -> None:
        self.employee_id = employee_id
        self.rooms: list[int] = []
        """Where they write."""
        self.view = history.views[employee_id] = ClientView(employee_id)
        self.presences: dict[int, Presence] = {}
        self._watched: Sequence[int] = ()
        self._ways, self._token = ways, token
        self._history = history
        self._dice = random.Random(seed)
        self._tasks: set[asyncio.Task[None]] = set()
        self.socket: RecordingSocket | None = None
        self.connection: Connection | None = None
        self._reconnects = 0
        self._done = asyncio.Event()

    # --- coming and going ------------------------------------------------------------------

    async def arrive(self) -> None:
        """Connect, and keep the connection until leaving."""
        assert self.connection is None
        self.socket = socket = RecordingSocket(
            self._ways,
            self._token,
            reader=self.employee_id,
            history=self._history,
            welcomed=self._welcomed,
        )
        self.connection = connection = Connection(socket)
        self._spawn(socket.run(), "run")
        await socket.until_ready()
        self._spawn(self._listen(connection), "listen")

    async def leave(self) -> None:
        """Close the connection for good."""
        connection, self.connection = self.connection, None
        socket, self.socket = self.socket, None
        if connection is None or socket is None:
            return
        self._reconnects += connection.reconnects
        if socket.session is not None:
            socket.session.left = True
        with suppress(Exception):
            async with asyncio.timeout(2.0):
                await connection.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def reconnects(self) -> int:
        return self._reconnects + (self.connection.reconnects if self.connection else 0)

    @property
    def done(self) -> bool:
        """Whether no more is to be written: what is being sent is sent to its end."""
        return self._done.is_set()

    def finish(self) -> None:
        self._done.set()

    async def rest(self, seconds: float) -> None:
        """Do nothing for so long, or until it is time to finish."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._done.wait()

    @property
    def present(self) -> bool:
        session = self.socket.session if self.socket else None
        return session is not None and session.ended_at is None

    def watch(self, employee_ids: Sequence[int]) -> None:
        self._watched = self._history.watched[self.employee_id] = tuple(employee_ids)
        if self.connection is not None:
            self._spawn(self._watch(self.connection), "watch")

    # --- reading ---------------------------------------------------------------------------

    def _welcomed(self) -> None:
        connection = self.connection
        if connection is None:
            return
        self.view.welcomed(connection.welcome)
        if self._watched:
            self._spawn(self._watch(connection), "watch")

    async def _watch(self, connection: Connection) -> None:
        while self.connection is connection:
            try:
                watched = await connection.request(PresenceWatch(employee_ids=list(self._watched)))
            except RequestRefused as refused:
                self._refused(refused)
                await asyncio.sleep(AGAIN_S)
            except (TimeoutError, ConnectionEnded):
                return
            else:
                self._see(watched.presences)
                return

    def _see(self, presences: Sequence[Presence]) -> None:
        for one in presences:
            held = self.presences.get(one.employee_id)
            if held is None or held.version <= one.version:
                self.presences[one.employee_id] = one
                news = held is None or held.version < one.version
                self._history.notices.append(
                    Notice(self.employee_id, one.employee_id, one.status, time.monotonic(), news)
                )

    async def _listen(self, connection: Connection) -> None:
        async for event in connection:
            self.view.take(event)
            if isinstance(event, PresenceChanged):
                self._see(event.presences)
            elif isinstance(event, MessageCreated) and self._dice.random() < READ:
                self._spawn(
                    self._read(connection, event.conversation_id, event.message.seq), "read"
                )

    async def _read(self, connection: Connection, conversation_id: int, seq: int) -> None:
        with suppress(TimeoutError, ConnectionEnded):
            try:
                await connection.read(conversation_id, seq)
            except RequestRefused as refused:
                if refused.code != "conversation.not_found":  # taken out meanwhile
                    self._refused(refused)

    # --- writing ---------------------------------------------------------------------------

    async def write(self, per_s: float) -> None:
        """Write at random moments until done, one message after the other."""
        while True:
            await self.rest(self._dice.expovariate(per_s))
            if self.done:
                return
            if self.connection is not None:
                await self.say(self._dice.choice(self.rooms))

    async def say(self, conversation_id: int, *, during: str = "", outsider: bool = False) -> None:
        """Send one message, with the same key until it is known what became of it."""
        key = uuid.uuid4()
        sent = Sent(
            self.employee_id, conversation_id, key, f"Привіт {key}", time.monotonic(), during
        )
        self._history.sent.append(sent)
        while time.monotonic() < sent.invoked_at + GIVE_UP_S:
            connection = self.connection
            if connection is None:
                return
            try:
                message = await connection.send(conversation_id, sent.text, client_key=key)
            except RequestRefused as refused:
                if refused.code not in PASSING:
                    if not outsider:
                        self._refused(refused)
                    sent.outcome, sent.ended_at = "fail", time.monotonic()
                    return
                await asyncio.sleep(refused.retry_after or AGAIN_S)
            except TimeoutError:
                pass
            except ConnectionEnded:
                await asyncio.sleep(AGAIN_S)  # until there is another one
            else:
                sent.outcome, sent.ended_at, sent.seq = "ok", time.monotonic(), message.seq
                return
            sent.tries += 1

    async def let_in_and_out(self, conversation_id: int, visitor: int, every_s: float) -> None:
        """Take somebody out of a conversation and let them in again, until done."""
        out = ConversationRemove(conversation_id=conversation_id, employee_id=visitor)
        back = ConversationAdd(conversation_id=conversation_id, employee_ids=[visitor])
        while not self.done:
            for command in (out, back):
                await self.rest(every_s * self._dice.uniform(0.5, 1.5))
                with suppress(RequestRefused, TimeoutError, ConnectionEnded):
                    if self.connection is not None:
                        await self.connection.request(command)

    # --- pieces ----------------------------------------------------------------------------

    def _refused(self, refused: RequestRefused) -> None:
        if refused.code not in PASSING:
            refusals = self._history.refusals
            refusals[refused.code] = refusals.get(refused.code, 0) + 1

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"faults.{name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
