"""Dispositions and notes of calls: set, add, edit, delete, for everyone who may see the call.

commands, rest ─▶ here ─▶ queries ─▶ call.annotated. Each function is one command: in one
transaction it checks, writes, raises the version of the annotations, and announces the change to
the call's agents after the COMMIT.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from gateway import cursors, topics
from gateway.context import Context, Transaction
from gateway.db import Conn
from gateway.errors import (
    DispositionNotFound,
    Forbidden,
    NoteKeyReused,
    NoteNotFound,
    TooManyNotes,
)
from gateway.protocol.annotations import (
    MAX_NOTES,
    CallAnnotated,
    CallAnnotations,
    CallDispositionIs,
    CallDispositionSet,
    CallNote,
    CallNoteAdd,
    CallNoteDelete,
    CallNoteEdit,
    CallNoteIs,
    DispositionPage,
)
from gateway.protocol.calls import CallDisposition
from gateway.serving import serves
from gateway.telephony.calls.access import require_call
from gateway.telephony.calls.queries import annotations as queries
from gateway.telephony.calls.queries import call_members, dispositions
from gateway.telephony.calls.queries.annotations import UNANNOTATED, AnnotationState


@serves(CallDispositionSet)
async def set_disposition(ctx: Context, command: CallDispositionSet) -> CallDispositionIs:
    """Set how a call went, or clear it; setting the same again changes nothing."""
    async with ctx.transaction() as tx:
        call_id = await require_call(ctx, tx.conn, command.call_id)
        before = await _annotation(tx.conn, call_id)
        if command.disposition == (before.disposition.code if before.disposition else None):
            return CallDispositionIs(
                call_id=call_id, version=before.version, disposition=before.disposition
            )
        code = command.disposition
        if code is not None and not await dispositions.is_allowed(tx.conn, call_id, code):
            raise DispositionNotFound
        await queries.raise_version(tx.conn, call_id)
        await queries.set_disposition(tx.conn, call_id, code=code, by=ctx.user_id)
        after = await _announce(ctx, tx, call_id, None)
    return CallDispositionIs(call_id=call_id, version=after.version, disposition=after.disposition)


@serves(CallNoteAdd)
async def add_note(ctx: Context, command: CallNoteAdd) -> CallNoteIs:
    """Add a note; the same client_key again returns the first note and announces nothing."""
    async with ctx.transaction() as tx:
        call_id = await require_call(ctx, tx.conn, command.call_id)
        await queries.lock_author(tx.conn, ctx.user_id)
        known = await queries.find_by_client_key(tx.conn, ctx.user_id, command.client_key)
        if known is not None:
            return await _answer_retry(tx.conn, call_id, known, command.text)
        await queries.raise_version(tx.conn, call_id)
        if await queries.count(tx.conn, call_id) >= MAX_NOTES:
            raise TooManyNotes
        note = await queries.add_note(
            tx.conn,
            call_id,
            author_id=ctx.user_id,
            client_key=command.client_key,
            text=command.text,
        )
        after = await _announce(ctx, tx, call_id, note)
    return CallNoteIs(call_id=call_id, version=after.version, note=note)


@serves(CallNoteEdit)
async def edit_note(ctx: Context, command: CallNoteEdit) -> CallNoteIs:
    """Replace the text of one's own note; the same text changes nothing."""
    async with ctx.transaction() as tx:
        call_id, note = await _own_note(ctx, tx.conn, command.call_id, command.note_id)
        if note.deleted_at is not None:
            raise NoteNotFound
        if note.text == command.text:
            return await _answer_unchanged(tx.conn, call_id, note)
        await queries.raise_version(tx.conn, call_id)
        note = await queries.edit_note(tx.conn, note.note_id, command.text)
        after = await _announce(ctx, tx, call_id, note)
    return CallNoteIs(call_id=call_id, version=after.version, note=note)


@serves(CallNoteDelete)
async def delete_note(ctx: Context, command: CallNoteDelete) -> CallNoteIs:
    """Delete one's own note; repeating it returns the same answer."""
    async with ctx.transaction() as tx:
        call_id, note = await _own_note(ctx, tx.conn, command.call_id, command.note_id)
        if note.deleted_at is not None:
            return await _answer_unchanged(tx.conn, call_id, note)
        await queries.raise_version(tx.conn, call_id)
        note = await queries.delete_note(tx.conn, note.note_id)
        after = await _announce(ctx, tx, call_id, note)
    return CallNoteIs(call_id=call_id, version=after.version, note=note)


async def list_dispositions(ctx: Context, *, limit: int, cursor: str | None) -> DispositionPage:
    """Return a page of the operator's dispositions, active or not, in the operator's order."""
    after = cursors.unpack_ranked(cursor)[:2] if cursor else None
    async with ctx.reading() as conn:
        found = await dispositions.page(conn, after=after, limit=limit + 1)
    shown, following = found[:limit], None
    if len(found) > limit:
        position, last = shown[-1]
        following = cursors.pack_ranked(position, last.code, 1)
    return DispositionPage(dispositions=[one for _, one in shown], next=following)


async def read(conn: Conn, call_id: UUID) -> CallAnnotations:
    """Return the annotations of a call that is not merged into another."""
    found = await _annotation(conn, call_id)
    return CallAnnotations(
        call_id=call_id,
        version=found.version,
        disposition=found.disposition,
        notes=await queries.notes(conn, call_id, limit=MAX_NOTES),
    )


async def dispositions_of(conn: Conn, call_ids: Sequence[UUID]) -> dict[str, CallDisposition]:
    """Return call → disposition, for calls that have one; one statement for all."""
    found = await queries.read(conn, call_ids) if call_ids else {}
    return {str(call_id): one.disposition for call_id, one in found.items() if one.disposition}


async def _annotation(conn: Conn, call_id: UUID) -> AnnotationState:
    return (await queries.read(conn, [call_id])).get(call_id, UNANNOTATED)


async def _own_note(ctx: Context, conn: Conn, call_id: UUID, note_id: int) -> tuple[UUID, CallNote]:
    now = await require_call(ctx, conn, call_id)
    note = await queries.lock_note(conn, now, note_id)
    if note is None:
        raise NoteNotFound
    if note.author_id != ctx.user_id:
        raise Forbidden("Only the author of a note may change it.")
    return now, note


async def _answer_retry(
    conn: Conn, call_id: UUID, known: tuple[UUID, CallNote], text: str
) -> CallNoteIs:
    """Answer a retry; what an edited or deleted note said at first is no longer known."""
    of_call, note = known
    changed = note.edited_at is not None or note.deleted_at is not None
    if of_call != call_id or (note.text != text and not changed):
        raise NoteKeyReused
    return await _answer_unchanged(conn, call_id, note)


async def _answer_unchanged(conn: Conn, call_id: UUID, note: CallNote) -> CallNoteIs:
    found = await _annotation(conn, call_id)
    return CallNoteIs(call_id=call_id, version=found.version, note=note)


async def _announce(
    ctx: Context, tx: Transaction, call_id: UUID, note: CallNote | None
) -> AnnotationState:
    after = await _annotation(tx.conn, call_id)
    event = CallAnnotated(
        call_id=call_id, version=after.version, disposition=after.disposition, note=note
    )
    for employee_id in {*await call_members.agents(tx.conn, call_id), ctx.user_id}:
        tx.announce(topics.user(employee_id), event)
    return after
