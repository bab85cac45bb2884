"""A client's connection: commands and events, over a link that comes back by itself."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

from gateway.client.errors import ConnectionEnded
from gateway.client.link import Link, Token
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
)
from gateway.protocol.people import ChosenStatus


class Connection(Link):
    """A session with the gateway. Iterate over it for events; it survives lost connections.

    Among the events is a Reload for each conversation of which too much was missed meanwhile.
    """

    # --- commands --------------------------------------------------------------------------

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
        """Bring a file, from memory or from a path; return what to name it by in send()."""
        declared: AttachmentCreated = await self.request(
            AttachmentCreate(
                conversation_id=conversation_id,
                name=name,
                content_type=content_type,
                size=size_of(data),
                sha256=sha256,
            )
        )
        await put(self._url, declared.upload, data)
        return declared.attachment_id

    async def link(self, attachment_id: int) -> AttachmentLink:
        """Return where a file of a message can be read for a short time."""
        link: AttachmentLink = await self.request(AttachmentGet(attachment_id=attachment_id))
        return link

    async def download(self, attachment_id: int) -> bytes:
        """Return a file of a message."""
        return await get(self._url, (await self.link(attachment_id)).url)

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
        """Return a message and a page of what answers it, oldest first."""
        page: ThreadPage = await self.request(
            MessageThread(
                conversation_id=conversation_id, seq=seq, before=before, after=after, limit=limit
            )
        )
        return page

    async def edit(self, conversation_id: int, seq: int, text: str) -> Message:
        """Give a message of one's own another text."""
        edited: MessageIs = await self.request(
            MessageEdit(conversation_id=conversation_id, seq=seq, text=text)
        )
        return edited.message

    async def delete(self, conversation_id: int, seq: int) -> Message:
        """Delete a message; return what is left in its place."""
        deleted: MessageIs = await self.request(
            MessageDelete(conversation_id=conversation_id, seq=seq)
        )
        return deleted.message

    async def react(self, conversation_id: int, seq: int, emoji: str) -> list[Reaction]:
        """Put an emoji below a message; return all that are there."""
        done: ReactionsAre = await self.request(
            ReactionAdd(conversation_id=conversation_id, seq=seq, emoji=emoji)
        )
        return done.reactions

    async def unreact(self, conversation_id: int, seq: int, emoji: str) -> list[Reaction]:
        """Take one's emoji back; return all that are left."""
        done: ReactionsAre = await self.request(
            ReactionRemove(conversation_id=conversation_id, seq=seq, emoji=emoji)
        )
        return done.reactions

    async def changes(self, conversation_id: int, after: int, *, limit: int = 100) -> ChangesPage:
        """Return what happened in a conversation after a change, as the server's events."""
        page: ChangesPage = await self.request(
            MessageChanges(conversation_id=conversation_id, after=after, limit=limit)
        )
        return page

    async def read(self, conversation_id: int, seq: int) -> ReceiptReadDone:
        """Say that everything up to seq has been read."""
        done: ReceiptReadDone = await self.request(
            ReceiptRead(conversation_id=conversation_id, seq=seq)
        )
        return done

    async def typing(self, conversation_id: int) -> None:
        """Say that one is writing."""
        await self.request(TypingStart(conversation_id=conversation_id))

    async def set_status(
        self,
        status: ChosenStatus | None,
        text: str | None = None,
        *,
        until: datetime | None = None,
    ) -> Presence:
        """Choose a status (None: the automatic one) and a text; return what others now see."""
        chosen: PresenceIs = await self.request(PresenceSet(status=status, text=text, until=until))
        return chosen.presence

    async def away(self, away: bool = True) -> None:
        """Say that nobody is looking at this device, or is again; it holds across reconnects."""
        self._away = away
        await self.request(PresenceAway(away=away))

    # --- events ----------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[Any]:
        while True:
            try:
                yield await self._events.next()
            except ConnectionEnded:
                return

    async def next(self, event_type: type[Any] | None = None, *, timeout_s: float = 10.0) -> Any:
        """Return the next event, or the next of one type, passing over the others."""
        async with asyncio.timeout(timeout_s):
            while True:
                event = await self._events.next()
                if event_type is None or isinstance(event, event_type):
                    return event

    @property
    def positions(self) -> dict[int, int]:
        """Return conversation → the last change taken in."""
        return self._events.positions


@contextlib.asynccontextmanager
async def connect(
    url: str, token: Token, *, device: Device | None = None, reconnect: bool = True
) -> AsyncIterator[Connection]:
    """Open a session; token may be a function that returns a fresh one each time."""
    connection = Connection(url, token, device=device, reconnect=reconnect)
    running = asyncio.create_task(connection.run(), name="gateway.client")
    try:
        await connection.until_ready()
        yield connection
    finally:
        await connection.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
