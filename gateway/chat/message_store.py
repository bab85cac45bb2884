"""Stores messages that are sent at the same time in one statement.

messages.send ─▶ BatchedMessageStore ─▶ one statement for up to 32 messages, of as many
conversations or of one. The busier a node is, the fewer statements, COMMITs and pool connections a
message costs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from gateway.batch_loader import BatchLoader, Spawn
from gateway.chat import drafts, preferences
from gateway.chat.queries import attachments as attachment_queries
from gateway.chat.queries import messages as queries
from gateway.context import ACQUIRE_S, Context, Transaction
from gateway.errors import AttachmentTaken
from gateway.protocol import Attachment, Message, MessageCreated

MAX_BATCH = 32
CONCURRENCY = 2
"""Statements at the same time: while one waits for its COMMIT to reach the disk, the other runs.
With 100 concurrent senders one reached 0.6 of the rate of plain INSERTs, two 0.7, three and six
0.6."""
WAITING_CONCURRENCY = 3
"""At most this many connections wait for locked conversations, however many are locked."""
WAITING_TIMEOUT_S = 5.0
"""How long a message waits for earlier ones of a locked conversation before it is refused."""


class SendRequest(NamedTuple):
    """A message to store, and the context of its sender."""

    ctx: Context
    message: queries.NewMessage


class BatchedMessageStore:
    """Stores the messages of one node."""

    def __init__(self, spawn: Spawn, clock: Callable[[], float] = time.monotonic) -> None:
        self._batched = BatchLoader(
            _store,
            spawn=spawn,
            name="message_store",
            max_batch=MAX_BATCH,
            concurrency=CONCURRENCY,
            key=_conversation_of,
            timeout_s=ACQUIRE_S,
            clock=clock,
        )
        self._lock_waiters = BatchLoader(
            _store_waiting,
            spawn=spawn,
            name="message_store.waiting",
            max_batch=MAX_BATCH,
            max_keys=1,
            concurrency=WAITING_CONCURRENCY,
            key=_conversation_of,
            timeout_s=WAITING_TIMEOUT_S,
            clock=clock,
        )

    @property
    def waiting(self) -> int:
        """Number of messages that wait for a statement."""
        return self._batched.waiting + self._lock_waiters.waiting

    def oldest_wait_s(self) -> float:
        """Return how long the oldest waiting message has waited."""
        return max(self._batched.oldest_wait_s(), self._lock_waiters.oldest_wait_s())

    async def store(self, request: SendRequest) -> Message | None:
        """Store a message and announce it; returns None and raises as queries.messages.insert.

        A message that was not stored with the batch (its conversation is locked, or it is refused)
        is tried again in a statement for this conversation alone, so others never wait for it.
        While one of these waits, what is sent to its conversation joins it at once: trying first
        would cost a statement, and let later messages go before earlier ones.
        """
        if self._lock_waiters.is_loading(_conversation_of(request)):
            return await self._lock_waiters.load(request)
        message = await self._batched.load(request)
        return message if message is not None else await self._lock_waiters.load(request)


def _conversation_of(request: SendRequest) -> int:
    return request.message.conversation_id


async def _store_waiting(requests: Sequence[SendRequest]) -> list[Message | None]:
    return await _store(requests, wait=True)


async def _store(requests: Sequence[SendRequest], *, wait: bool = False) -> list[Message | None]:
    async with requests[0].ctx.statement() as tx:
        found = await queries.insert(tx.conn, [request.message for request in requests], wait=wait)
        for request, stored in zip(requests, found, strict=True):
            if stored is not None:
                await _announce(tx, request.ctx.user_id, stored)
    return [stored and stored.message for stored in found]


async def store_with_files(request: SendRequest, files: Sequence[Attachment]) -> Message | None:
    """Store a message and make these files its own, or neither.

    One transaction: the files are attached under the conversation's lock. Of two messages with the
    same file the second finds it taken (AttachmentTaken) and uses no number.
    """
    async with request.ctx.transaction() as tx:
        [stored] = await queries.insert(tx.conn, [request.message], wait=True)
        if stored is None:
            return None
        message = replace(stored.message, attachments=list(files))
        if not await attachment_queries.attach(
            tx.conn, request.ctx.user_id, message.conversation_id, seq=message.seq, files=files
        ):
            raise AttachmentTaken
        await _announce(tx, request.ctx.user_id, stored._replace(message=message))
    return message


async def _announce(tx: Transaction, sender_id: int, stored: queries.StoredMessage) -> None:
    message = stored.message
    tx.announce_change(
        MessageCreated(
            conversation_id=message.conversation_id, change=message.change, message=message
        )
    )
    if stored.draft is not None:
        drafts.announce(tx, sender_id, stored.draft)
    if stored.unmarked:
        await preferences.announce_current(tx, sender_id, message.conversation_id)
