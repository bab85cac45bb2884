"""Conversations over HTTP for programs of the CRM, which show the key of a service account.

The same as the functions of docs/crm-contract.md, for what runs outside the CRM's transactions.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from gateway.audit import Origin
from gateway.auth.scopes import CONVERSATIONS_MANAGE, MESSAGES_SEND
from gateway.chat import by_system
from gateway.chat.queries.by_system import SystemMessage
from gateway.errors import Invalid
from gateway.protocol.by_system import (
    MOST,
    ConversationKeyed,
    ExternalKey,
    OpenedKind,
    ParticipantsAre,
    SystemMessageNew,
    SystemMessageSent,
)
from gateway.protocol.conversations import Title
from gateway.protocol.frame import frame
from gateway.rest.callers import Caller, service_with
from gateway.rest.depends import (
    EmployeeId,
    EmployeePath,
    EmployeeQuery,
    RowId,
    StrictRoute,
    answer,
)
from gateway.rest.request_id import request_id_of

router = APIRouter(prefix="/v1/service/conversations", tags=["service"], route_class=StrictRoute)

Managing = Annotated[Caller, Depends(service_with(CONVERSATIONS_MANAGE))]
Sending = Annotated[Caller, Depends(service_with(MESSAGES_SEND))]


@frame
class ConversationOfKey:
    """A group with a title and a key of yours, or a direct conversation of two people."""

    kind: OpenedKind = "group"
    title: Title | None = None
    employee_ids: Annotated[list[EmployeeId], Field(min_length=1, max_length=MOST)]
    external_key: ExternalKey | None = None
    """Your own name of a group, such as `deal:17`: opening it again returns the same one."""
    created_by: EmployeeId | None = None
    """Its owner; without one it has none, and programs alone change who is in it."""


@frame
class Added:
    """The employees to add, and on whose behalf."""

    employee_ids: Annotated[list[EmployeeId], Field(min_length=1, max_length=MOST)]
    added_by: EmployeeId | None = None


@router.post("", response_model=ConversationKeyed, status_code=201)
async def open_conversation(caller: Managing, body: ConversationOfKey) -> Response:
    """Open a conversation; 200 when it was there before. A group needs title and external_key."""
    if body.kind == "group" and body.external_key is None:
        raise Invalid("A group needs an external_key.", path="external_key")
    opened = await by_system.open_conversation(
        caller.services,
        kind=body.kind,
        title=body.title,
        employee_ids=body.employee_ids,
        external_key=body.external_key,
        created_by=body.created_by,
    )
    return answer(
        ConversationKeyed(conversation_id=opened.conversation_id, created=opened.created),
        201 if opened.created else 200,
    )


@router.post("/{conversation_id}/participants", response_model=ParticipantsAre)
async def add_participants(caller: Managing, conversation_id: RowId, body: Added) -> Response:
    """Add employees; those who are in it already stay as they are."""
    joined = await by_system.add_participants(
        caller.services, conversation_id, body.employee_ids, by_id=body.added_by
    )
    return answer(ParticipantsAre(employee_ids=joined))


@router.delete("/{conversation_id}/participants/{employee_id}", response_model=ParticipantsAre)
async def remove_participant(
    caller: Managing,
    request: Request,
    conversation_id: RowId,
    employee_id: EmployeePath,
    removed_by: EmployeeQuery = None,
) -> Response:
    """Remove an employee; nothing changes when they have left already."""
    assert caller.account is not None
    removed = await by_system.remove_participants(
        caller.services,
        conversation_id,
        [employee_id],
        by_id=removed_by,
        account=caller.account,
        origin=Origin("rest", request_id_of(request.scope)),
    )
    return answer(ParticipantsAre(employee_ids=removed))


@router.post("/{conversation_id}/messages", response_model=SystemMessageSent, status_code=201)
async def send_message(caller: Sending, conversation_id: RowId, body: SystemMessageNew) -> Response:
    """Send a message as the system; the same client_key again returns the first one's place."""
    sent = await by_system.send_message(
        caller.services,
        SystemMessage(
            conversation_id, body.client_key, body.text, body.reply_to_seq, body.silent, body.attrs
        ),
    )
    return answer(
        SystemMessageSent(conversation_id=conversation_id, seq=sent.seq, change=sent.change), 201
    )
