"""Messages: send, and pages of a conversation.

Each function is one command. Sending is one statement, which checks, numbers and stores; messages
sent to several conversations at the same time share it (message_store.py).
"""

from __future__ import annotations

import asyncpg

from gateway.auth.queries import employees
from gateway.chat import attachments, mentions
from gateway.chat.membership import membership_of
from gateway.chat.message_store import SendRequest, store_with_files
from gateway.chat.queries import changes, pages
from gateway.chat.queries import messages as queries
from gateway.context import Context
from gateway.db import Conn
from gateway.errors import (
    AttachmentMismatch,
    AttachmentNotFound,
    AttachmentNotUploaded,
    AttachmentTaken,
    ClientKeyReused,
    ConversationClosed,
    ConversationNotFound,
    EmployeeDisabled,
    GatewayError,
    Invalid,
    MessageNotFound,
)
from gateway.protocol import (
    ChangesPage,
    Message,
    MessageChanges,
    MessageHistory,
    MessagePage,
    MessageSend,
    MessageSent,
    MessageThread,
    ThreadPage,
)
from gateway.protocol.frame import MAX_INT
from gateway.serving import serves

UNUSABLE_FILE = (AttachmentNotFound, AttachmentNotUploaded, AttachmentMismatch, AttachmentTaken)
"""Why a file cannot be attached. A repeated message.send finds its own files taken: no error."""


@serves(MessageSend)
async def send(ctx: Context, command: MessageSend, *, from_draft: bool = True) -> MessageSent:
    """Store the message and announce it to the conversation.

    A repeated client_key returns the first message and announces nothing. With from_draft, the
    sender's draft in this conversation is emptied: it is taken for the text that was sent.
    """
    request = SendRequest(
        ctx,
        queries.NewMessage(
            ctx.user_id,
            command.conversation_id,
            client_key=command.client_key,
            text=command.text,
            reply_to_seq=command.reply_to_seq,
            mentions=mentions.mentions_in(ctx, command.text),
            from_draft=from_draft,
        ),
    )
    refusal: GatewayError | None = None
    try:
        if files := await attachments.verify(ctx, command):
            message = await store_with_files(request, files)
        else:
            message = await ctx.services.message_store.store(request)
    except UNUSABLE_FILE as error:
        message, refusal = None, error
    except asyncpg.UniqueViolationError:
        # The same key, sent twice at once: the other one has committed, this one used no number.
        message = None
    except asyncpg.NotNullViolationError:
        message = None  # removed from the conversation at this moment: no number was used
    if message is None:
        message = await _stored_before(ctx, command, refusal)
    return MessageSent(message=message)


async def _stored_before(
    ctx: Context, command: MessageSend, refusal: GatewayError | None
) -> Message:
    """Return the message that this key stored before; else raise why nothing was stored."""
    conversation_id = command.conversation_id
    async with ctx.reading() as conn:
        message = await queries.find_by_key(conn, ctx.user_id, conversation_id, command.client_key)
        membership = await membership_of(ctx, conn, conversation_id)
        if message is None:
            sender = await employees.find(conn, ctx.user_id)
            if sender is None or not sender.active:
                raise EmployeeDisabled
            if refusal is not None:
                raise refusal
            if not membership.closed and command.reply_to_seq is not None:
                raise MessageNotFound
            raise ConversationClosed if membership.closed else ConversationNotFound
    # The first text of an edited or deleted message is not stored: it is not compared.
    as_sent = message.edited_at is None and message.deleted_at is None
    has = [file.attachment_id for file in message.attachments]
    if (
        message.reply_to_seq != command.reply_to_seq
        or (as_sent and message.text != command.text)
        or (message.deleted_at is None and has != (command.attachments or []))
    ):
        raise ClientKeyReused
    return message


@serves(MessageHistory)
async def history(ctx: Context, command: MessageHistory) -> MessagePage:
    """Return a page of messages: the newest, or those before, after or around a seq."""
    if sum(one is not None for one in (command.before, command.after, command.around)) > 1:
        raise Invalid("Give one of before, after and around.", path="after")
    conversation_id, limit = command.conversation_id, command.limit
    async with ctx.reading() as conn:
        membership = await membership_of(ctx, conn, conversation_id)
        floor = membership.hidden_to
        if command.around is not None:
            return await _around(conn, command, command.around, floor)
        if command.after is not None:
            first = max(command.after, floor)
            found = await pages.after(conn, conversation_id, first, limit + 1)
            return MessagePage(
                messages=found[:limit], has_before=first > floor, has_after=len(found) > limit
            )
        found = await pages.before(conn, conversation_id, command.before, limit + 1, above=floor)
    return MessagePage(
        messages=found[-limit:],
        has_before=len(found) > limit,
        has_after=command.before is not None,
    )


async def _around(conn: Conn, command: MessageHistory, seq: int, floor: int) -> MessagePage:
    """Return the message at seq with its neighbours on both sides, or the nearest messages."""
    older, newer = command.limit - command.limit // 2, command.limit // 2
    conversation_id = command.conversation_id
    end = seq + 1 if seq < MAX_INT else None
    before = await pages.before(conn, conversation_id, end, older + 1, above=floor)
    after = await pages.after(conn, conversation_id, max(seq, floor), newer + 1)
    return MessagePage(
        messages=[*before[-older:], *after[:newer]],
        has_before=len(before) > older,
        has_after=len(after) > newer,
    )


@serves(MessageThread)
async def thread(ctx: Context, command: MessageThread) -> ThreadPage:
    """Return a message and a page of its replies."""
    if command.before is not None and command.after is not None:
        raise Invalid("Give before or after, not both.", path="after")
    conversation_id, seq, limit = command.conversation_id, command.seq, command.limit
    async with ctx.reading() as conn:
        membership = await membership_of(ctx, conn, conversation_id)
        root = None
        if seq > membership.hidden_to:
            root = await queries.find(conn, conversation_id, seq)
            root = root or await pages.gone_root(conn, conversation_id, seq)
        if root is None:
            raise MessageNotFound
        if command.after is not None:
            return await _replies_after(conn, root, command.after, limit)
        return await _replies_before(conn, root, command.before, limit)


async def _replies_after(conn: Conn, root: Message, after: int, limit: int) -> ThreadPage:
    place = root.conversation_id, root.seq
    found = await pages.replies_after(conn, *place, seq=after, limit=limit + 1)
    older = found and await pages.replies_before(conn, *place, seq=found[0].seq, limit=1)
    return ThreadPage(
        root=root,
        messages=found[:limit],
        has_before=bool(older) if found else root.reply_count > 0,
        has_after=len(found) > limit,
    )


async def _replies_before(conn: Conn, root: Message, before: int | None, limit: int) -> ThreadPage:
    place = root.conversation_id, root.seq
    found = await pages.replies_before(conn, *place, seq=before, limit=limit + 1)
    newer = found and await pages.replies_after(conn, *place, seq=found[-1].seq, limit=1)
    return ThreadPage(
        root=root,
        messages=found[-limit:],
        has_before=len(found) > limit,
        has_after=bool(newer) if found else root.reply_count > 0,
    )


@serves(MessageChanges)
async def changed(ctx: Context, command: MessageChanges) -> ChangesPage:
    """Return the changes of a conversation after one, oldest first."""
    async with ctx.reading() as conn:
        membership = await membership_of(ctx, conn, command.conversation_id)
        found = await changes.after(
            conn,
            [(command.conversation_id, command.after)],
            command.limit,
            above=membership.hidden_to,
        )
    return ChangesPage(
        events=[change.event for change in found],
        more=bool(found) and found[-1].change < found[-1].last_change,
    )
