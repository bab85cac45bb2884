"""The messenger over HTTP: the same commands as on the socket."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field

from gateway import commands
from gateway.errors import Invalid
from gateway.protocol import (
    ConversationCreate,
    ConversationList,
    ConversationOpen,
    ConversationOpened,
    ConversationPage,
    MessageHistory,
    MessagePage,
    MessageSend,
    MessageSent,
)
from gateway.protocol.attachments import AttachmentIds
from gateway.protocol.conversations import MAX_CONVERSATIONS, MAX_PARTICIPANTS, Title
from gateway.protocol.frame import MAX_INT, Id, frame
from gateway.protocol.messages import MAX_PAGE, TextOrNone
from gateway.rest.depends import Asking, Cursor, EmployeeId, RowId, StrictRoute, answer

router = APIRouter(prefix="/v1/messenger", tags=["messenger"], route_class=StrictRoute)

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
SeqQuery = Annotated[int | None, Query(ge=0, le=MAX_INT)]


@frame
class ConversationNew:
    """Either employee_id, for a direct conversation, or title and employee_ids, for a group."""

    employee_id: EmployeeId | None = None
    title: Title | None = None
    employee_ids: (
        Annotated[list[EmployeeId], Field(min_length=1, max_length=MAX_PARTICIPANTS - 1)] | None
    ) = None


@frame
class MessageNew:
    """A message to store; repeating a client_key stores it once."""

    client_key: UUID
    text: TextOrNone = ""
    """At least one character, or a file."""
    reply_to_seq: Id | None = None
    attachments: AttachmentIds | None = None
    """Files that I declared for this conversation and have uploaded."""


@router.get("/conversations", response_model=ConversationPage)
async def list_conversations(
    asking: Asking,
    limit: Annotated[int, Query(ge=1, le=MAX_CONVERSATIONS)] = MAX_CONVERSATIONS,
    cursor: Cursor = None,
    archived: bool = False,
) -> Response:
    """My conversations, the most recently active first: those not archived, or the archived."""
    command = ConversationList(limit=limit, cursor=cursor, archived=archived)
    return answer(await commands.run(asking, command))


@router.post("/conversations", response_model=ConversationOpened, status_code=201)
async def new_conversation(asking: Asking, body: ConversationNew) -> Response:
    """Open a direct conversation (200 when it exists already), or create a group."""
    command: ConversationOpen | ConversationCreate
    if body.employee_id is not None and body.title is None and body.employee_ids is None:
        command = ConversationOpen(employee_id=body.employee_id)
    elif body.employee_id is None and body.title is not None and body.employee_ids is not None:
        command = ConversationCreate(title=body.title, employee_ids=body.employee_ids)
    else:
        raise Invalid("Give employee_id alone, or title and employee_ids.")
    opened: ConversationOpened = await commands.run(asking, command)
    return answer(opened, 201 if opened.created else 200)


@router.get("/conversations/{conversation_id}/messages", response_model=MessagePage)
async def list_messages(
    asking: Asking,
    conversation_id: RowId,
    *,
    before: SeqQuery = None,
    after: SeqQuery = None,
    around: SeqQuery = None,
    limit: Limit = 50,
) -> Response:
    """Messages in ascending order: the newest, or those before, after or around a seq."""
    command = MessageHistory(
        conversation_id=conversation_id, before=before, after=after, around=around, limit=limit
    )
    return answer(await commands.run(asking, command))


@router.post(
    "/conversations/{conversation_id}/messages", response_model=MessageSent, status_code=201
)
async def send_message(asking: Asking, conversation_id: RowId, body: MessageNew) -> Response:
    """Store a message; the same client_key again returns the first one."""
    command = MessageSend(
        conversation_id=conversation_id,
        client_key=body.client_key,
        text=body.text,
        reply_to_seq=body.reply_to_seq,
        attachments=body.attachments,
    )
    return answer(await commands.run(asking, command), 201)
