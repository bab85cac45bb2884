"""What an application uses: commands and events, over a socket that reconnects by itself."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

from gateway.client.errors import ConnectionEnded
from gateway.client.socket import ReconnectingSocket, Token
from gateway.client.states import ConnectionState, OnState
from gateway.client.transfer import Body, get, put, size_of
from gateway.protocol import (
    AttachmentCreate,
    AttachmentCreated,
    AttachmentGet,
    AttachmentLink,
    ChangesPage,
    ConversationOpen,
    ConversationOpened,
    Device,
    Message,
    MessageChanges,
    MessageDelete,
    MessageEdit,
    MessageHistory,
    MessageIs,
    MessagePage,
    MessageSend,
    MessageSent,
    MessageThread,
    Presence,
    PresenceAway,
    PresenceIs,
    PresenceSet,
    Reaction,
    ReactionAdd,
    ReactionRemove,
    ReactionsAre,
    ReceiptRead,
    ReceiptReadDone,
    ThreadPage,
    TypingStart,
    Welcome,
)
from gateway.protocol.people import ChosenStatus


class Connection:
    """A connection to the gateway. Iterate over it for events; it survives lost sockets.

    After a reconnect the events contain a Reload for each conversation of which too much was
    missed, and, for the last `presence.watch` and `queue.watch`, the present state of everything
    watched. Topics are watched again; read anew what they are about (`reconnects` has risen).
    """

    def __init__(self, socket: ReconnectingSocket) -> None:
        self._socket = socket

    @property
    def welcome(self) -> Welcome:
        """Return the newest welcome: a snapshot as of the last (re)connection."""
        return self._socket.welcome

    @property
    def state(self) -> ConnectionState:
        """Return how the connection is now."""
        return self._socket.state

    @property
    def reconnects(self) -> int:
        """Return how often the connection was lost, or refused, and is tried again."""
        return self._socket.reconnects

    async def close(self) -> None:
        """Leave for good."""
        await self._socket.close()

    async def drop(self) -> None:
        """Cut the connection without a goodbye, as a network would; it comes back by itself."""
        self._socket.drop()

    # --- commands --------------------------------------------------------------------------

    async def request(self, command: Any) -> Any:
        """Send a command and return its reply, as the type that the protocol names for it.

        Without a connection it waits for one. A command whose reply was lost with the connection
        is sent again when that is harmless. Raises RequestRefused (`connection.lost` when it is
        not harmless), ConnectionEnded, or TimeoutError after 30 s.
        """
        return await self._socket.request(command)

    async def open(self, employee_id: int) -> ConversationOpened:
        """Return the direct conversation with this employee."""
        opened: ConversationOpened = await self.request(ConversationOpen(employee_id=employee_id))
        return opened

    async def send(
        self,
        conversation_id: int,
        text: str,
        *,
        client_key: uuid.UUID | None = None,
        reply_to_seq: int | None = None,
        attachments: Sequence[int] | None = None,
    ) -> Message:
        """Send a message; it is stored once, however often the connection breaks meanwhile."""
        command = MessageSend(
            conversation_id=conversation_id,
            client_key=client_key or uuid.uuid4(),
            text=text,
            reply_to_seq=reply_to_seq,
            attachments=list(attachments) if attachments else None,
        )
        sent: MessageSent = await self.request(command)
        return sent.message

    async def upload(
        self,
        conversation_id: int,
        name: str,
        content_type: str,
        data: Body,
        *,
        sha256: str | None = None,
    ) -> int:
        """Upload a file, from memory or from a path; return its id for send()."""
        declared: AttachmentCreated = await self.request(
            AttachmentCreate(
                conversation_id=conversation_id,
                name=name,
                content_type=content_type,
                size=size_of(data),
                sha256=sha256,
            )
        )
        await put(self._socket.url, declared.upload, data)
        return declared.attachment_id

    async def link(self, attachment_id: int) -> AttachmentLink:
        """Return a link to a file of a message; it is valid for a short time."""
        link: AttachmentLink = await self.request(AttachmentGet(attachment_id=attachment_id))
        return link

    async def download(self, attachment_id: int) -> bytes:
        """Return the bytes of a file of a message."""
        return await get(self._socket.url, (await self.link(attachment_id)).url)

    async def history(
        self,
        conversation_id: int,
        *,
        before: int | None = None,
        after: int | None = None,
        around: int | None = None,
        limit: int = 50,
    ) -> MessagePage:
        """Return a page of messages, oldest first."""
        page: MessagePage = await self.request(
            MessageHistory(
                conversation_id=conversation_id,
                before=before,
                after=after,
                around=around,
                limit=limit,
            )
        )
        return page

    async def thread(
        self,
        conversation_id: int,
        seq: int,
        *,
        before: int | None = None,
        after: int | None = None,
        limit: int = 50,
    ) -> ThreadPage:
        """Return a message and a page of the replies to it, oldest first."""
        page: ThreadPage = await self.request(
            MessageThread(
                conversation_id=conversation_id, seq=seq, before=before, after=after, limit=limit
            )
        )
        return page

    async def edit(self, conversation_id: int, seq: int, text: str) -> Message:
        """Change the text of a message that this user wrote."""
        edited: MessageIs = await self.request(
            MessageEdit(conversation_id=conversation_id, seq=seq, text=text)
        )
        return edited.message

    async def delete(self, conversation_id: int, seq: int) -> Message:
        """Delete a message; return it as others now see it."""
        deleted: MessageIs = await self.request(
            MessageDelete(conversation_id=conversation_id, seq=seq)
        )
        return deleted.message

    async def react(self, conversation_id: int, seq: int, emoji: str) -> list[Reaction]:
        """Add a reaction to a message; return all reactions."""
        done: ReactionsAre = await self.request(
            ReactionAdd(conversation_id=conversation_id, seq=seq, emoji=emoji)
        )
        return done.reactions

    async def unreact(self, conversation_id: int, seq: int, emoji: str) -> list[Reaction]:
        """Remove this user's reaction; return the reactions that are left."""
        done: ReactionsAre = await self.request(
            ReactionRemove(conversation_id=conversation_id, seq=seq, emoji=emoji)
        )
        return done.reactions

    async def changes(self, conversation_id: int, after: int, *, limit: int = 100) -> ChangesPage:
        """Return what happened in a conversation after a change, as the gateway's events."""
        page: ChangesPage = await self.request(
            MessageChanges(conversation_id=conversation_id, after=after, limit=limit)
        )
        return page

    async def read(self, conversation_id: int, seq: int) -> ReceiptReadDone:
        """Mark everything up to seq as read."""
        done: ReceiptReadDone = await self.request(
            ReceiptRead(conversation_id=conversation_id, seq=seq)
        )
        return done

    async def typing(self, conversation_id: int) -> None:
        """Report that this user is typing."""
        await self.request(TypingStart(conversation_id=conversation_id))

    async def set_status(
        self,
        status: ChosenStatus | None,
        text: str | None = None,
        *,
        until: datetime | None = None,
    ) -> Presence:
        """Set a status (None: the automatic one) and a text; return what others now see."""
        chosen: PresenceIs = await self.request(PresenceSet(status=status, text=text, until=until))
        return chosen.presence

    async def away(self, away: bool = True) -> None:
        """Report whether nobody uses this device; hello repeats it after a reconnect."""
        self._socket.away = away
        await self.request(PresenceAway(away=away))

    # --- events ----------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[Any]:
        while True:
            try:
                yield await self._socket.events.next()
            except ConnectionEnded:
                return

    async def next(self, event_type: type[Any] | None = None, *, timeout_s: float = 10.0) -> Any:
        """Return the next event, or the next of one type; events of other types are dropped."""
        async with asyncio.timeout(timeout_s):
            while True:
                event = await self._socket.events.next()
                if event_type is None or isinstance(event, event_type):
                    return event

    @property
    def positions(self) -> dict[int, int]:
        """Return conversation → the last change received."""
        return self._socket.events.positions


@contextlib.asynccontextmanager
async def connect(
    url: str,
    token: Token,
    *,
    device: Device | None = None,
    reconnect: bool = True,
    on_state: OnState | None = None,
) -> AsyncIterator[Connection]:
    """Open a connection.

    token may be a function that returns a fresh one each time. on_state is called with each
    ConnectionState: connecting, live, waiting (and until when), stopped (and with which code).
    """
    socket = ReconnectingSocket(url, token, device=device, reconnect=reconnect, on_state=on_state)
    running = asyncio.create_task(socket.run(), name="gateway.client")
    try:
        await socket.until_ready()
        yield Connection(socket)
    finally:
        await socket.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
