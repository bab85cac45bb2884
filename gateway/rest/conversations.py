"""Participants, title and personal preferences of conversations over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import Field

from gateway import commands
from gateway.protocol import (
    ConversationAdd,
    ConversationArchive,
    ConversationClose,
    ConversationGet,
    ConversationIs,
    ConversationLeave,
    ConversationMute,
    ConversationNotify,
    ConversationParticipants,
    ConversationPin,
    ConversationRemove,
    ConversationReopen,
    ConversationSetRole,
    ConversationUnarchive,
    ConversationUnpin,
    ConversationUpdate,
    MineIs,
    ParticipantPage,
)
from gateway.protocol.conversations import MAX_LISTED, History, Role, Title
from gateway.protocol.frame import frame
from gateway.protocol.members import MAX_ADDED, AvatarUrl
from gateway.protocol.preferences import MutedMoment, Notify
from gateway.rest.depends import (
    Asking,
    EmployeeId,
    EmployeePath,
    IdQuery,
    RowId,
    StrictRoute,
    answer,
)

router = APIRouter(
    prefix="/v1/messenger/conversations/{conversation_id}",
    tags=["messenger"],
    route_class=StrictRoute,
)


@frame
class Changes:
    """The fields to change; fields that are not given stay."""

    title: Title | None = None
    avatar_url: AvatarUrl | None = None
    history: History | None = None


@frame
class Newcomers:
    """The employees to add."""

    employee_ids: Annotated[list[EmployeeId], Field(min_length=1, max_length=MAX_ADDED)]


@frame
class RoleIs:
    """A participant's role."""

    role: Role


@frame
class MutedUntil:
    """Until when the conversation is muted."""

    until: MutedMoment


@frame
class NotifyOf:
    """What to be notified of."""

    level: Notify


async def _run(asking: Asking, command: Any) -> Response:
    return answer(await commands.run(asking, command))


@router.get("", response_model=ConversationIs)
async def get(asking: Asking, conversation_id: RowId) -> Response:
    """Return one conversation of mine, as the list shows it."""
    return await _run(asking, ConversationGet(conversation_id=conversation_id))


@router.get("/participants", response_model=ParticipantPage)
async def participants(
    asking: Asking,
    conversation_id: RowId,
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = MAX_LISTED,
    after: IdQuery = None,
) -> Response:
    """Participants in the order of their ids."""
    command = ConversationParticipants(conversation_id=conversation_id, limit=limit, after=after)
    return await _run(asking, command)


@router.patch("", response_model=ConversationIs)
async def update(asking: Asking, conversation_id: RowId, body: Changes) -> Response:
    """Change title, picture or history of a group."""
    command = ConversationUpdate(
        conversation_id=conversation_id,
        title=body.title,
        avatar_url=body.avatar_url,
        history=body.history,
    )
    return await _run(asking, command)


@router.post("/participants", response_model=ConversationIs)
async def add(asking: Asking, conversation_id: RowId, body: Newcomers) -> Response:
    """Add people."""
    command = ConversationAdd(conversation_id=conversation_id, employee_ids=body.employee_ids)
    return await _run(asking, command)


@router.delete("/participants/{employee_id}", response_model=ConversationIs)
async def remove(asking: Asking, conversation_id: RowId, employee_id: EmployeePath) -> Response:
    """Remove someone."""
    command = ConversationRemove(conversation_id=conversation_id, employee_id=employee_id)
    return await _run(asking, command)


@router.put("/participants/{employee_id}/role", response_model=ConversationIs)
async def set_role(
    asking: Asking, conversation_id: RowId, employee_id: EmployeePath, body: RoleIs
) -> Response:
    """Give someone a role."""
    command = ConversationSetRole(
        conversation_id=conversation_id, employee_id=employee_id, role=body.role
    )
    return await _run(asking, command)


@router.post("/leave", status_code=204, response_class=Response)
async def leave(asking: Asking, conversation_id: RowId) -> Response:
    """Leave the conversation."""
    await commands.run(asking, ConversationLeave(conversation_id=conversation_id))
    return Response(status_code=204)


@router.post("/close", response_model=ConversationIs)
async def close(asking: Asking, conversation_id: RowId) -> Response:
    """Close the conversation to new messages."""
    return await _run(asking, ConversationClose(conversation_id=conversation_id))


@router.post("/reopen", response_model=ConversationIs)
async def reopen(asking: Asking, conversation_id: RowId) -> Response:
    """Open the conversation to new messages again."""
    return await _run(asking, ConversationReopen(conversation_id=conversation_id))


@router.put("/archive", response_model=MineIs)
async def archive(asking: Asking, conversation_id: RowId) -> Response:
    """Archive it until the next message."""
    return await _run(asking, ConversationArchive(conversation_id=conversation_id))


@router.delete("/archive", response_model=MineIs)
async def unarchive(asking: Asking, conversation_id: RowId) -> Response:
    """Take it out of the archive."""
    return await _run(asking, ConversationUnarchive(conversation_id=conversation_id))


@router.put("/pin", response_model=MineIs)
async def pin(asking: Asking, conversation_id: RowId) -> Response:
    """Pin it to the top of my list."""
    return await _run(asking, ConversationPin(conversation_id=conversation_id))


@router.delete("/pin", response_model=MineIs)
async def unpin(asking: Asking, conversation_id: RowId) -> Response:
    """Unpin it."""
    return await _run(asking, ConversationUnpin(conversation_id=conversation_id))


@router.put("/mute", response_model=MineIs)
async def mute(asking: Asking, conversation_id: RowId, body: MutedUntil) -> Response:
    """Mute it: leave its messages out of my unread total until a time."""
    return await _run(asking, ConversationMute(conversation_id=conversation_id, until=body.until))


@router.delete("/mute", response_model=MineIs)
async def unmute(asking: Asking, conversation_id: RowId) -> Response:
    """Unmute it: count its messages in my unread total."""
    return await _run(asking, ConversationMute(conversation_id=conversation_id))


@router.put("/notify", response_model=MineIs)
async def notify(asking: Asking, conversation_id: RowId, body: NotifyOf) -> Response:
    """Choose what to be notified of."""
    return await _run(asking, ConversationNotify(conversation_id=conversation_id, level=body.level))
