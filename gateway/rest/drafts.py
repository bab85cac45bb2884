"""Drafts and scheduled messages over HTTP: the same commands as on the socket."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from gateway import commands
from gateway.protocol import (
    DraftClear,
    DraftIs,
    DraftList,
    DraftPage,
    DraftSet,
    MessageReschedule,
    MessageSchedule,
    MessageScheduled,
    MessageScheduledList,
    MessageUnschedule,
    ScheduledPage,
)
from gateway.protocol.drafts import MAX_DRAFTS, DraftText
from gateway.protocol.frame import Id, Instant, frame
from gateway.protocol.messages import Text
from gateway.rest.depends import Asking, Cursor, IdQuery, RowId, StrictRoute, answer

router = APIRouter(prefix="/v1/messenger", tags=["messenger"], route_class=StrictRoute)

DRAFT = "/conversations/{conversation_id}/draft"
SCHEDULED = "/scheduled-messages"


@frame
class DraftNew:
    """An unfinished text."""

    text: DraftText
    reply_to_seq: Id | None = None


@frame
class ScheduledNew:
    """A message to send later; repeating a client_key schedules it once."""

    client_key: UUID
    text: Text
    send_at: Instant


@frame
class ScheduledChange:
    """The new time, and a new text if given."""

    send_at: Instant
    text: Text | None = None


@router.get("/drafts", response_model=DraftPage)
async def list_drafts(
    asking: Asking,
    limit: Annotated[int, Query(ge=1, le=MAX_DRAFTS)] = MAX_DRAFTS,
    cursor: Cursor = None,
) -> Response:
    """My drafts, the newest first."""
    return answer(await commands.run(asking, DraftList(limit=limit, cursor=cursor)))


@router.put(DRAFT, response_model=DraftIs)
async def put_draft(asking: Asking, conversation_id: RowId, body: DraftNew) -> Response:
    """Store my draft; the draft that is stored last wins."""
    command = DraftSet(
        conversation_id=conversation_id, text=body.text, reply_to_seq=body.reply_to_seq
    )
    return answer(await commands.run(asking, command))


@router.delete(DRAFT, response_model=DraftIs)
async def clear_draft(asking: Asking, conversation_id: RowId) -> Response:
    """Empty my draft; doing it again changes nothing."""
    return answer(await commands.run(asking, DraftClear(conversation_id=conversation_id)))


@router.get(SCHEDULED, response_model=ScheduledPage)
async def list_scheduled(
    asking: Asking,
    conversation_id: IdQuery = None,
) -> Response:
    """My scheduled messages, the next one first, and those that could not be sent."""
    return answer(await commands.run(asking, MessageScheduledList(conversation_id=conversation_id)))


@router.post(
    "/conversations/{conversation_id}/scheduled-messages",
    response_model=MessageScheduled,
    status_code=201,
)
async def schedule(asking: Asking, conversation_id: RowId, body: ScheduledNew) -> Response:
    """Schedule a message; the same client_key again returns the first one."""
    command = MessageSchedule(
        conversation_id=conversation_id,
        client_key=body.client_key,
        text=body.text,
        send_at=body.send_at,
    )
    return answer(await commands.run(asking, command), 201)


@router.patch(SCHEDULED + "/{scheduled_id}", response_model=MessageScheduled)
async def reschedule(asking: Asking, scheduled_id: RowId, body: ScheduledChange) -> Response:
    """Change the time of a scheduled message; a failed one waits again."""
    command = MessageReschedule(scheduled_id=scheduled_id, send_at=body.send_at, text=body.text)
    return answer(await commands.run(asking, command))


@router.delete(SCHEDULED + "/{scheduled_id}", response_model=MessageScheduled)
async def unschedule(asking: Asking, scheduled_id: RowId) -> Response:
    """Cancel a scheduled message before it is sent, and return it."""
    return answer(await commands.run(asking, MessageUnschedule(scheduled_id=scheduled_id)))
