"""Files of messages: declare, verify before sending, read.

attachment.create ─▶ the client uploads ─▶ message.send, which verifies here that the upload is what
was declared ─▶ attachment.get. file_sweeper.py removes files that no message uses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from gateway.chat import file_sweeper
from gateway.chat.membership import membership_of
from gateway.chat.queries import attachments as queries
from gateway.chat.queries.attachments import AttachmentRow
from gateway.context import Context
from gateway.db import Conn
from gateway.errors import (
    AttachmentMismatch,
    AttachmentNotFound,
    AttachmentNotUploaded,
    ConversationClosed,
    GatewayError,
    Invalid,
    StorageUnavailable,
    TooManyAttachments,
    TooMuchPending,
)
from gateway.files import Storage, kept_as, new_key
from gateway.protocol import (
    Attachment,
    AttachmentCreate,
    AttachmentCreated,
    AttachmentGet,
    AttachmentLink,
    MessageSend,
    Upload,
)
from gateway.serving import serves

MAX_PENDING = 200
"""Most files of one employee that are declared and not in a message."""
VERIFY_TIMEOUT_S = 20.0
"""All files of a message must be verified within this time."""


@serves(AttachmentCreate)
async def create(ctx: Context, command: AttachmentCreate) -> AttachmentCreated:
    """Record a file that will be uploaded; return the link for the upload."""
    with _counting_refusals(ctx):
        files = ctx.services.files
        storage, limits = files.require(), files.limits
        limits.check(command.content_type, command.size)
        key = new_key()
        link = await storage.upload_link(
            key,
            uploader=str(ctx.user_id),
            size=command.size,
            content_type=command.content_type,
            sha256=command.sha256,
            valid_s=limits.upload_s,
        )
        async with ctx.transaction() as tx:
            await queries.lock(tx.conn, ctx.user_id)
            await _require_writable(ctx, tx.conn, command.conversation_id)
            made = await queries.declare(
                tx.conn,
                ctx.user_id,
                command,
                key=key,
                kept_s=limits.unattached_s,
                most_bytes=limits.pending_bytes,
                most=MAX_PENDING,
            )
        if made is None:
            raise TooMuchPending
    upload = Upload(
        method="PUT", url=link.url, headers=dict(link.headers), expires_at=link.expires_at
    )
    return AttachmentCreated(attachment_id=made, upload=upload)


@serves(AttachmentGet)
async def get(ctx: Context, command: AttachmentGet) -> AttachmentLink:
    """Return a download link for a file of a message that I may read."""
    files = ctx.services.files
    storage = files.require()
    async with ctx.reading() as conn:
        row = await queries.find_readable(conn, ctx.user_id, command.attachment_id)
    if row is None:
        raise AttachmentNotFound
    link = await storage.download_link(
        row.key,
        name=row.attachment.name,
        content_type=row.attachment.content_type,
        valid_s=files.limits.link_s,
    )
    return AttachmentLink(
        attachment_id=row.attachment.attachment_id,
        name=row.attachment.name,
        content_type=row.attachment.content_type,
        size=row.attachment.size,
        url=link.url,
        expires_at=link.expires_at,
    )


async def verify(ctx: Context, command: MessageSend) -> Sequence[Attachment]:
    """Return the files of a message to send, each verified in the storage.

    Outside of any transaction, because a storage may be slow. A file that is attached already may
    belong to this very message, sent before: storing the message finds out.
    """
    ids = command.attachments or ()
    if not ids:
        if not command.text:
            raise Invalid("A message needs a text, or a file.", path="text")
        return ()
    with _counting_refusals(ctx):
        files = ctx.services.files
        storage = files.require()
        if len(set(ids)) < len(ids):
            raise Invalid("No file may be named twice.", path="attachments")
        if len(ids) > files.limits.per_message:
            raise TooManyAttachments(f"At most {files.limits.per_message} files.")
        async with ctx.reading() as conn:
            await membership_of(ctx, conn, command.conversation_id)
            found = await queries.find_own(conn, ctx.user_id, command.conversation_id, ids)
        if len(found) < len(ids):
            raise AttachmentNotFound
        declared = [row for row in found.values() if row.state == "declared"]
        kept = await _verify_uploads(ctx, storage, declared)
    return [kept.get(one, found[one].attachment) for one in ids]


async def _verify_uploads(
    ctx: Context, storage: Storage, rows: Sequence[AttachmentRow]
) -> dict[int, Attachment]:
    """Verify uploads against their declarations; one that differs is discarded.

    Return the files as they are kept, by id.
    """
    kept: dict[int, Attachment] = {}
    if not rows:
        return kept
    try:
        async with asyncio.timeout(VERIFY_TIMEOUT_S):
            for row in rows:
                kept[row.attachment.attachment_id] = await _as_kept(storage, row)
    except TimeoutError:
        raise StorageUnavailable from None
    except AttachmentMismatch:
        async with ctx.transaction() as tx:
            await queries.discard(tx.conn, row.attachment.attachment_id)
            await tx.enqueue(file_sweeper.ORDER)
        raise
    async with ctx.reading() as conn:
        await queries.mark_stored(conn, list(kept.values()))
    return kept


async def _as_kept(storage: Storage, row: AttachmentRow) -> Attachment:
    """Return a file as it is kept: of its declared type, or as a download."""
    which = row.attachment
    look = await storage.inspect(row.key)
    if look is None:
        raise AttachmentNotUploaded(f"File {which.attachment_id} has not been uploaded.")
    if look.size != which.size:
        raise AttachmentMismatch(f"File {which.attachment_id} has {look.size} bytes.")
    content_type = kept_as(which.content_type, look.head)
    if content_type is None:
        raise AttachmentMismatch(f"File {which.attachment_id} is not {which.content_type}.")
    if row.sha256 is not None and await storage.sha256(row.key) != row.sha256:
        raise AttachmentMismatch(f"File {which.attachment_id} has another SHA-256.")
    return replace(which, content_type=content_type)


async def _require_writable(ctx: Context, conn: Conn, conversation_id: int) -> None:
    membership = await membership_of(ctx, conn, conversation_id)
    if membership.closed:
        raise ConversationClosed


@contextmanager
def _counting_refusals(ctx: Context) -> Iterator[None]:
    """Count refusals by their error code."""
    try:
        yield
    except GatewayError as error:
        ctx.services.files.counts.refused[error.code] += 1
        raise
