"""One device that performs its part of the plan through the Python client.

plan ─▶ MessengerClient ─▶ gateway.client ─▶ ClientView. Acknowledgements are recorded; refusals
because another user was faster are counted, every other refusal is a failure.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection

from gateway.client import Connection, ConnectionEnded, RequestRefused
from gateway.client.socket import ReconnectingSocket
from gateway.protocol import ConversationList, Draft, DraftList, Message
from loadtests.messenger.actions import ActionRunner, ActionTargets
from loadtests.messenger.plan import Action
from loadtests.messenger.view import ClientView, RoomView
from loadtests.test_users import SignedInUser

EXPECTED = frozenset(
    {
        "conversation.not_found", "conversation.closed", "conversation.full",
        "conversation.too_many_pinned", "conversation.last_owner", "message.not_found",
        "message.too_many_reactions", "participant.not_found", "permission.denied",
        "command.invalid", "connection.lost", "overloaded", "database.unavailable",
    }
)  # fmt: skip
"""Codes of refusals that are expected: too late, not allowed, or the connection was cut."""
PAGE = 100


class RoamingSocket(ReconnectingSocket):
    """A socket that comes back to another worker each time."""

    def __init__(self, urls: Sequence[str], token: str) -> None:
        super().__init__(urls[0], token)
        self._urls = itertools.cycle(urls)

    async def _connect(self) -> ClientConnection:
        self.url = next(self._urls)
        return await super()._connect()


class MessengerClient:
    """One device of one person."""

    def __init__(self, employee_id: int, connection: Connection, scene: ActionTargets) -> None:
        self.connection = connection
        self.view = ClientView(employee_id)
        self.actions = ActionRunner(connection, self.view, scene)
        self.refusals: Counter[str] = Counter()
        self.cuts = 0
        self._welcome: Any = None
        self._work: set[asyncio.Task[None]] = set()

    # --- listening -------------------------------------------------------------------------

    async def listen(self) -> None:
        """Keep the view until the connection is closed for good."""
        async for event in self.connection:
            self._look_at_welcome()
            self.view.take(event)
            self.look_after()

    def look_after(self) -> None:
        """Fetch what the view reports as missing; apply a welcome that no event followed."""
        self._look_at_welcome()
        for room in self.view.rooms.values():
            if room.stale and not room.fetching:
                self.view.fetching(room)
                self._spawn(self._fetch(room))

    @property
    def settled(self) -> bool:
        """Whether nothing is being fetched."""
        return not self._work

    def _look_at_welcome(self) -> None:
        if self.connection.welcome is not self._welcome:
            self._welcome = self.connection.welcome
            self.view.welcomed(self._welcome)
            self._spawn(self._fetch_lists())

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(self._watched(work), name="messenger.fetch")
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _watched(self, work: Awaitable[object]) -> None:
        try:
            await work
        except ConnectionEnded:
            pass
        except (RequestRefused, TimeoutError) as error:
            self.view.problem("unexpected", f"fetching: {error!r}")

    async def _fetch(self, room: RoomView) -> None:
        """Read a conversation's whole history."""
        messages: list[Message] | None = []
        try:
            messages = await history(self.connection, room.id)
        except RequestRefused as refused:
            if refused.code != "conversation.not_found":
                raise
            messages = None
        self.view.fetched(room, messages)
        self.look_after()

    async def _fetch_lists(self) -> None:
        """Read what no welcome and no change tells of: archived conversations, and drafts."""
        for conversation in await archived(self.connection):
            self.view.listed(conversation)
        before = dict(self.view.drafts)
        self.view.drafted(await drafts(self.connection), before=before)
        self.look_after()

    # --- acting ----------------------------------------------------------------------------

    async def carry_out(self, actions: Sequence[Action]) -> None:
        for action in actions:
            await asyncio.sleep(action.pause_s)
            cutting = self._cut_soon(action.cut_s)
            try:
                await self.actions.do(action)
            except RequestRefused as refused:
                self.refusals[refused.code] += 1
                if refused.code not in EXPECTED:
                    self.view.problem("unexpected", f"{action.kind}: {refused}")
            except TimeoutError:
                self.view.problem("unexpected", f"{action.kind} had no answer")
            if cutting is not None:
                await cutting

    def _cut_soon(self, after_s: float | None) -> asyncio.Task[None] | None:
        if after_s is None:
            return None
        self.cuts += 1

        async def cut() -> None:
            await asyncio.sleep(after_s)
            await self.connection.drop()

        return asyncio.create_task(cut(), name="messenger.cut")


async def history(connection: Connection, conversation_id: int) -> list[Message]:
    """Return all messages there are to be read."""
    messages: list[Message] = []
    while True:
        after = messages[-1].seq if messages else 0
        page = await connection.history(conversation_id, after=after, limit=PAGE)
        messages += page.messages
        if not page.has_after:
            return messages


async def archived(connection: Connection) -> list[Any]:
    """Return the archived conversations."""
    found = await connection.request(ConversationList(archived=True))
    return list(found.conversations)


async def drafts(connection: Connection) -> list[Draft]:
    """Return all drafts."""
    found: list[Draft] = (await connection.request(DraftList())).drafts
    return found


@asynccontextmanager
async def client(
    player: SignedInUser, urls: Sequence[str], scene: ActionTargets
) -> AsyncIterator[MessengerClient]:
    """Connect a device that listens."""
    socket = RoamingSocket(urls, player.token)
    made = MessengerClient(player.employee_id, Connection(socket), scene)
    tasks = [asyncio.create_task(socket.run(), name="messenger.connection")]
    try:
        await socket.until_ready()
        made.look_after()
        tasks.append(asyncio.create_task(made.listen(), name="messenger.listen"))
        yield made
    finally:
        await socket.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
